#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <halftone/backend.hpp>

#include "io/model_files.hpp"

namespace halftone::eval {

/// Vectors that a layer is tried on, row by row.
struct LayerInputs {
  std::vector<float> values;
  std::uint64_t count = 0;
};

/// Normal numbers of variance 1, by `seed` and the name of the weight.
[[nodiscard]] LayerInputs random_inputs(std::uint64_t count, std::uint64_t columns, std::uint64_t seed, const std::string& weight);

/// The inputs of a layer, `<layer>.input` of (…, columns), from a safetensors file; nothing where the file has none.
/// Throws bad_statistics for inputs that do not fit the weight or are not finite.
[[nodiscard]] std::optional<LayerInputs> given_inputs(const io::ModelFiles& files, const Backend& backend, const std::string& layer,
                                                      std::uint64_t columns);

}  // namespace halftone::eval
