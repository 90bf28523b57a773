#include "eval/layer_inputs.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/fail.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"
#include "learn/philox.hpp"

namespace halftone::eval {

LayerInputs random_inputs(std::uint64_t count, std::uint64_t columns, std::uint64_t seed, const std::string& weight) {
  const std::uint64_t key = std::stoull(base::digest(fmt::format("input {} {}", seed, weight)).substr(0, 16), nullptr, 16);
  constexpr double unit = 0x1p-32;
  LayerInputs inputs{std::vector<float>(count * columns), count};
  for (std::uint64_t i = 0; i < inputs.values.size(); ++i) {
    const learn::PhiloxWords words = learn::philox(i, key);
    // Box and Muller's normal number of two uniform ones.
    const double radius = std::sqrt(-2.0 * std::log((words.word[0] + 0.5) * unit));
    inputs.values[i] = static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * words.word[1] * unit));
  }
  return inputs;
}

std::optional<LayerInputs> given_inputs(const io::ModelFiles& files, const Backend& backend, const std::string& layer,
                                        std::uint64_t columns) {
  const ModelTensor* tensor = files.index().find(layer + ".input");
  if (tensor == nullptr) return std::nullopt;
  const TensorInfo& info = tensor->info;
  const std::uint64_t n = element_count(info.shape);
  if (!is_source_float(info.dtype) || info.shape.empty() || info.shape.back() != columns || n == 0) {
    fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' must be floats of (…, {}), as the weight has {} columns, not {} {}",
         files.path().string(), base::printable(info.name), columns, columns, name_of(info.dtype), to_string(info.shape));
  }
  LayerInputs inputs{std::vector<float>(n), n / columns};
  backend.to_float(info.dtype, files.bytes(*tensor).data(), n, inputs.values.data());
  files.check();
  if (!std::all_of(inputs.values.begin(), inputs.values.end(), [](float value) { return std::isfinite(value); })) {
    fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' holds NaN or infinity", files.path().string(), base::printable(info.name));
  }
  return inputs;
}

}  // namespace halftone::eval
