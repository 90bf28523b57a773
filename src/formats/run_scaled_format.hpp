#pragma once

#include <halftone/format.hpp>

#include "formats/format_traits.hpp"

namespace halftone::formats {

/// What tells the formats with a one-byte scale for each run of columns apart, besides their facts.
struct RunScaledNames {
  Dtype scale_dtype{};         ///< of `<layer>.weight_scale`
  bool largest_scale = false;  ///< the largest scale also stands in `<layer>.weight_scalar`
};

/// A format of the block-scaled matrix products: codes in `<layer>.weight`, filled up with zeros to
/// whole runs in both dimensions; swizzled scales in `<layer>.weight_scale`; with two levels the
/// weight's own scale in `<layer>.weight_scale_2`.
class RunScaledFormat : public FormatDescriptor {
 public:
  RunScaledFormat(FormatFacts facts, RunScaledNames names) : FormatDescriptor(std::move(facts)), names_(names) {}

  [[nodiscard]] Support accepts(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::string sidecar_json(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::vector<LayerTensor> outputs(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] LayerReading recognise(const StoredLayer& layer) const override;

 private:
  [[nodiscard]] Shape code_shape(const Shape& weight) const;
  [[nodiscard]] Shape scale_shape(const Shape& weight) const;

  RunScaledNames names_;
};

/// The storage of such a format.
template <class Format>
[[nodiscard]] Storage run_scaled_storage() {
  return storage_of<Format>({.padding = kRunOf<Format>, .swizzled = true});
}

}  // namespace halftone::formats
