#pragma once

#include <string>
#include <vector>

#include <halftone/allocate.hpp>

#include "allocate/candidates.hpp"

namespace halftone::allocate {

/// The rules file of an allocation: a rule for each layer, and one for each of `kept`, which no format takes.
[[nodiscard]] std::string rules_text(const std::vector<AllocatedLayer>& layers, const std::vector<LayerCandidates>& kept);

}  // namespace halftone::allocate
