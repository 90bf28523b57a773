#pragma once

#include <limits>
#include <string_view>

#include <halftone/format.hpp>

namespace halftone::formats {

/// What tells the formats of one code and one F32 scale per group apart.
struct ScaledFacts {
  std::string_view name;
  std::string_view comfy_format;
  std::string_view summary;
  std::string_view loaders;
  Dtype code_dtype{};
  ScaleGrid grid{};
  std::uint32_t heuristic_block = 0;
  std::uint32_t matmul_alignment = 1;
  std::vector<std::uint32_t> block_sizes;
  bool row_scales_are_columns = false;  ///< row scales are stored as (rows, 1), not (rows)
  bool writes_per_row = false;          ///< the JSON carries "per_row": true
  bool takes_input_scale = false;
  bool always_input_scale = false;
  bool needs_custom_node = false;
  float largest_weight = std::numeric_limits<float>::infinity();
};

/// A format whose weight keeps its shape: one code per element in `<layer>.weight` and the
/// scales in `<layer>.weight_scale`.  A one-element scale is stored 0-dimensional.
class ScaledFormat : public FormatDescriptor {
 public:
  explicit ScaledFormat(ScaledFacts facts) : facts_(std::move(facts)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return facts_.name; }
  [[nodiscard]] std::string_view comfy_format() const noexcept override { return facts_.comfy_format; }
  [[nodiscard]] std::string_view summary() const noexcept override { return facts_.summary; }
  [[nodiscard]] std::string_view loaders() const noexcept override { return facts_.loaders; }
  [[nodiscard]] Dtype code_dtype() const noexcept override { return facts_.code_dtype; }
  [[nodiscard]] ScaleGrid grid() const noexcept override { return facts_.grid; }
  [[nodiscard]] std::vector<std::uint32_t> block_sizes() const override { return facts_.block_sizes; }
  [[nodiscard]] std::uint32_t heuristic_block() const noexcept override { return facts_.heuristic_block; }
  [[nodiscard]] std::uint32_t matmul_alignment() const noexcept override { return facts_.matmul_alignment; }
  [[nodiscard]] bool needs_custom_node() const noexcept override { return facts_.needs_custom_node; }
  [[nodiscard]] float largest_weight() const noexcept override { return facts_.largest_weight; }
  [[nodiscard]] bool takes_input_scale() const noexcept override { return facts_.takes_input_scale; }

  [[nodiscard]] Support accepts(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::optional<Shape> scale_shape(const Shape& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::string sidecar_json(const QuantSpec& spec) const override;
  [[nodiscard]] std::vector<LayerTensor> outputs(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::optional<QuantSpec> recognise(const StoredLayer& layer) const override;

 private:
  ScaledFacts facts_;
};

}  // namespace halftone::formats
