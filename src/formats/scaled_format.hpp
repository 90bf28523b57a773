#pragma once

#include <halftone/format.hpp>

#include "formats/format_traits.hpp"

namespace halftone::formats {

/// What tells the formats of one code and one F32 scale per group apart, besides their facts.
struct ScaledNames {
  bool row_scales_are_columns = false;  ///< row scales are stored as (rows, 1), not (rows)
  bool writes_per_row = false;          ///< the JSON carries "per_row": true
  bool always_rotated = false;          ///< the JSON carries no "convrot": true, only the size of the groups
  bool always_input_scale = false;
  bool keeps_row_shape = false;  ///< the scale of a single row stays one-dimensional: the loader asks for that
};

/// A format whose weight keeps its shape, or halves its columns where two codes share a byte: codes
/// in `<layer>.weight`, and F32 scales in `<layer>.weight_scale`.  A one-element scale is stored
/// 0-dimensional.  Rotated where the format has rotation groups.
class ScaledFormat : public FormatDescriptor {
 public:
  explicit ScaledFormat(FormatFacts facts, ScaledNames names = {}) : FormatDescriptor(std::move(facts)), names_(names) {}

  [[nodiscard]] Support accepts(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::string sidecar_json(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::vector<LayerTensor> outputs(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] LayerReading recognise(const StoredLayer& layer) const override;

  /// Shape of the scales, () where there is one; empty optional where the format has none.
  [[nodiscard]] std::optional<Shape> scale_shape(const Shape& weight, const QuantSpec& spec) const;

 private:
  /// Whether the JSON of a layer means this format.
  [[nodiscard]] bool is_named_by(const StoredLayer& layer) const;
  [[nodiscard]] Shape code_shape(const Shape& weight) const;

  ScaledNames names_;
};

/// The storage of such a format: a weight of zeros has scales of 1, as the reference stores it.
template <class Format>
[[nodiscard]] Storage scaled_storage() {
  return storage_of<Format>({.unit_scales_for_zeros = Format::kGrid != ScaleGrid::none});
}

}  // namespace halftone::formats
