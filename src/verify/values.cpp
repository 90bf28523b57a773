#include "verify/values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>

#include "base/fail.hpp"
#include "formats/layer_names.hpp"
#include "formats/scale_rules.hpp"
#include "formats/stored_matrix.hpp"
#include "verify/layers.hpp"

namespace halftone::verify {
namespace {

/// What the codes of a type that are no finite numbers look like without their sign; nothing for types without them.
std::optional<std::uint8_t> first_bad_code(Dtype dtype) {
  if (dtype == Dtype::F8_E4M3) return 0x7F;  // NaN
  if (dtype == Dtype::F8_E5M2) return 0x7C;  // infinity, and NaN above it
  return std::nullopt;
}

std::uint64_t count_bad(std::span<const std::byte> codes, std::uint8_t first) {
  std::uint64_t n = 0;
  for (const std::byte code : codes) n += (std::to_integer<std::uint8_t>(code) & 0x7FU) >= first ? 1U : 0U;
  return n;
}

void check_codes(const formats::QuantizedLayer& layer, std::span<const std::byte> codes, Findings& findings) {
  const auto bad = first_bad_code(layer.weight->info.dtype);
  if (!bad) return;
  const std::uint64_t n = count_bad(codes, *bad);
  if (n == 0) return;
  std::uint64_t at = 0;
  while (count_bad(codes.subspan(at, 1), *bad) == 0) ++at;
  findings.problem(layer.base, fmt::format("{} of its {} codes are NaN or infinity, the first at byte {} of '{}'", n, codes.size(), at,
                                           layer.weight->info.name));
}

/// The numbers of a tensor of F32.
std::optional<std::uint64_t> first_not_finite(std::span<const std::byte> bytes) {
  for (std::uint64_t i = 0; i < bytes.size() / sizeof(float); ++i) {
    float value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    if (!std::isfinite(value)) return i;
  }
  return std::nullopt;
}

void report_scale(const std::string& base, const TensorInfo& scales, std::uint64_t at, Findings& findings) {
  const std::uint64_t n = element_count(scales.shape);
  findings.problem(base, n == 1 ? fmt::format("its scale '{}' is not finite", scales.name)
                                : fmt::format("its scales '{}' are not finite at number {} of {}", scales.name, at + 1, n));
}

/// F32 tensors of a layer besides its codes and its scales of one byte.
void check_floats(const io::ModelFiles& files, const formats::QuantizedLayer& layer, Findings& findings) {
  for (const std::string& name : layer.companions) {
    const ModelTensor* tensor = files.index().find(name);
    if (tensor == nullptr || tensor->info.dtype != Dtype::F32) continue;
    if (const auto at = first_not_finite(files.bytes(*tensor))) report_scale(layer.base, tensor->info, *at, findings);
  }
}

/// Tensors whose bytes the format knows.
void check_tables(const io::ModelFiles& files, const formats::QuantizedLayer& layer, Findings& findings) {
  for (const LayerTensor& expected : expected_tensors(layer)) {
    if (expected.role != Role::constant || is_description(expected.name)) continue;
    if (expected.name == formats::joined(layer.base, formats::kInputScaleSuffix)) continue;
    if (expected.name == formats::joined(layer.base, formats::kLevelsSuffix)) continue;  // one that was fitted is as good
    const ModelTensor* stored = files.index().find(expected.name);
    if (stored == nullptr) continue;
    const auto bytes = files.bytes(*stored);
    if (bytes.size() != expected.bytes.size() || std::memcmp(bytes.data(), expected.bytes.data(), bytes.size()) == 0) continue;
    findings.problem(layer.base, fmt::format("its '{}' is not the table of {}", expected.name, layer.readable->spec.format->name()));
  }
}

/// A scale that repeats the largest of the groups'.
void check_largest_scale(const io::ModelFiles& files, const formats::QuantizedLayer& layer, Findings& findings) {
  const ModelTensor* stored = files.index().find(formats::joined(layer.base, formats::kLargestScaleSuffix));
  const ModelTensor* scales = layer.readable->scales;
  const std::vector<LayerTensor> tensors = expected_tensors(layer);
  const bool repeats = scales != nullptr && std::any_of(tensors.begin(), tensors.end(),
                                                        [](const LayerTensor& tensor) { return tensor.role == Role::largest_scale; });
  if (!repeats || stored == nullptr || stored->info.dtype != Dtype::F32 || element_count(stored->info.shape) != 1) return;
  const auto groups = files.bytes(*scales);
  const std::byte largest = groups.empty() ? std::byte{0} : *std::max_element(groups.begin(), groups.end());  // bytes order like values
  const float expected = formats::largest_scale(*layer.readable->spec.format, std::to_integer<std::uint32_t>(largest));
  float value = 0;
  std::memcpy(&value, files.bytes(*stored).data(), sizeof value);
  if (value == expected) return;
  findings.problem(layer.base, fmt::format("its '{}' is {}, and the largest of its scales is {}", stored->info.name, value, expected));
}

}  // namespace

void check_values(const io::ModelFiles& files, const formats::QuantizedLayer& layer, Findings& findings) {
  check_codes(layer, files.bytes(*layer.weight), findings);
  check_floats(files, layer, findings);
  if (!layer.readable) return;
  check_tables(files, layer, findings);
  check_largest_scale(files, layer, findings);
  const ModelTensor* scales = layer.readable->scales;
  if (scales == nullptr || scales->info.dtype == Dtype::F32) return;
  const auto bytes = [&](const ModelTensor* tensor) { return tensor == nullptr ? std::span<const std::byte>() : files.bytes(*tensor); };
  const formats::StoredMatrix groups(
      layer.readable->spec, layer.readable->shape, {}, files.bytes(*scales), 1.0F,
      {{}, {}, bytes(layer.readable->nested_scales), bytes(layer.readable->nested_levels), layer.readable->nested_offset});
  if (const auto at = groups.first_bad_scale()) report_scale(layer.base, scales->info, *at, findings);
}

}  // namespace halftone::verify
