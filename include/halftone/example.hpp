#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/model.hpp>

namespace halftone {

/// How another file stores its layers: an example for a conversion.
struct Example {
  std::string name;  ///< of the file, for messages
  /// The layers by the full names of their weights; format, block size and rotation group of those that are
  /// quantized, nothing for the others.
  std::map<std::string, std::optional<QuantSpec>, std::less<>> layers;
  std::vector<std::filesystem::path> files;  ///< that it was read from, which no conversion may replace
};

/// The example that a model gives.  Throws bad_quantization or unsupported for a quantized layer that Halftone does
/// not read, usage where none is quantized.
[[nodiscard]] Example example_of(const ModelIndex& model, const SideTexts& texts, std::string name);

/// The example of the model at `path` (a safetensors file, a shard index, or a folder).  Throws Error.
[[nodiscard]] Example read_example(const std::filesystem::path& path);

}  // namespace halftone
