#include "learn/method.hpp"
#include "learn/project.hpp"

namespace halftone::learn::methods {
namespace {

Outcome solve(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  return closed_form(task.engine, task.layer, basis_of(task, memory), levels);
}

Workload work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device) {
  Workload work = basis_work(recipe, extent, device);
  return work += projection_work(extent, 2, device);
}

}  // namespace

constinit const Method closed = {
    solve, &Outcome::loss, &Outcome::nearest_loss, "its loss would not be smaller", bytes_of_projection, work,
};

}  // namespace halftone::learn::methods
