#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"

namespace halftone::plan {

/// Throws bad_quantization where the layers of an output are not read as those of its input: under their new names
/// (nothing: dropped), in the same formats.  `texts` are those of the output.
void require_same_layers(const std::vector<formats::QuantizedLayer>& layers, const std::map<std::string, std::optional<std::string>>& names,
                         const Header& output, const SideTexts& texts);

}  // namespace halftone::plan
