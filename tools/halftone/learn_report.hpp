#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <halftone/learn.hpp>

namespace halftone::tool {

/// What `convert --json` says of learned rounding: one entry for each layer.
[[nodiscard]] nlohmann::ordered_json learned_json(const std::vector<LearnedLayer>& layers);

/// The same for people, a line for each layer and one for their sum; "" without layers.
[[nodiscard]] std::string learned_text(const std::vector<LearnedLayer>& layers);

}  // namespace halftone::tool
