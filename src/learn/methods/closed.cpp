#include <algorithm>

#include "learn/effort.hpp"
#include "learn/method.hpp"
#include "learn/project.hpp"

namespace halftone::learn::methods {
namespace {

Outcome solve(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  return closed_form(task.engine, task.layer, basis_of(task, memory), levels);
}

std::uint64_t bytes(const LearnRecipe&, const Extent& extent) {
  return std::max(basis_search_bytes(extent), basis_bytes(extent) + projection_bytes(extent));
}

Work work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device) {
  Work work = basis_work(extent, numbers_of(recipe.effort).power_iterations, device);
  return work += projection_work(extent, 2, device);
}

}  // namespace

constinit const Method closed = {
    solve, &Outcome::loss, &Outcome::nearest_loss, "its loss would not be smaller", bytes, work,
};

}  // namespace halftone::learn::methods
