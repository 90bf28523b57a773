#include "learn/method.hpp"

namespace halftone::learn::methods {
namespace {

std::uint64_t bytes(const LearnRecipe&, const Extent&) { return 0; }
Workload work(const LearnRecipe&, const Extent&, DeviceKind) { return {}; }

}  // namespace

constinit const Method nearest = {nullptr, nullptr, nullptr, nullptr, bytes, work};

}  // namespace halftone::learn::methods
