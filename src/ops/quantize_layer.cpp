#include <cstring>
#include <span>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "exec/candidate_errors.hpp"
#include "exec/float_check.hpp"
#include "formats/double_quant.hpp"
#include "formats/layer_layout.hpp"
#include "formats/scale_rules.hpp"
#include "formats/swizzle.hpp"
#include "ops/layer_operations.hpp"

namespace halftone::ops {
namespace {

/// A weight that is quantized as a whole, in memory.
class Quantization {
 public:
  Quantization(const Backend& backend, const QuantSpec& spec, const MatrixView& weight)
      : backend_(backend),
        spec_(spec),
        weight_(weight),
        info_{"weight", weight.dtype, {weight.rows, weight.columns}, 0},
        layout_(spec, weight.rows, weight.columns) {
    if (const Support fits = spec.format->accepts(info_, spec); !fits) {
      fail(ErrorKind::unsupported, "{} does not take this weight of {}: {}", spec.format->name(), to_string(info_.shape), fits.reason);
    }
    if (const Support runs = backend.supports(spec, weight.dtype); !runs) fail(ErrorKind::unsupported, "{}", runs.reason);
  }

  [[nodiscard]] LinearLayer run() {
    LinearLayer layer{.spec = spec_, .dtype = weight_.dtype, .rows = weight_.rows, .columns = weight_.columns};
    const std::uint32_t magnitude = backend_.max_magnitude(weight_);
    check_values(magnitude);
    const float amax = scaled_amax(codec::from_bits(magnitude));
    layer.codes.resize(layout_.code_bytes(layout_.padded_rows()));
    std::vector<std::byte> scales(layout_.has_group_scales() ? layout_.scale_bytes(layout_.rows()) : 0);
    if (weight_.elements() != 0) quantize(amax, layer.codes.data(), scales.data());
    if (magnitude == 0 && spec_.format->storage().unit_scales_for_zeros) {
      std::memset(layer.codes.data(), 0, layer.codes.size());
      const std::vector<float> ones(scales.size() / sizeof(float), 1.0F);
      if (!scales.empty()) std::memcpy(scales.data(), ones.data(), scales.size());
    }
    // A file may end within the last block of a flat weight.
    const LayerTensor codes = spec_.format->outputs(info_, spec_).front();
    layer.codes.resize(byte_count(codes.dtype, codes.shape));
    layer.tensor_scale = amax == 0.0F ? 1.0F : tensor_scale(*spec_.format, amax);
    store_scales(layer, std::move(scales));
    store_levels(layer);
    return layer;
  }

 private:
  void check_values(std::uint32_t magnitude) const {
    const float limit = spec_.format->facts().largest_weight;
    if (magnitude < codec::kInfinityBits && !(codec::from_bits(magnitude) > limit)) return;
    exec::reject_first_beyond(backend_, info_, {weight_.data, weight_.bytes()}, limit, limit, true);
  }

  /// The magnitude that the scale of the whole weight is made from.
  [[nodiscard]] float scaled_amax(float amax) const {
    if (amax == 0.0F || !exec::CandidateErrors::are_needed(spec_)) return amax;
    exec::CandidateErrors errors(backend_, spec_, amax);
    errors.add(weight_);
    return errors.best_amax();
  }

  void quantize(float amax, std::byte* codes, std::byte* scales) const {
    const std::uint64_t whole = layout_.elements() / layout_.columns();
    const MatrixView rows{weight_.data, weight_.dtype, whole, layout_.columns()};
    check_rotated(backend_.quantize(spec_, rows, amax, {codes, scales}));
    if (whole == layout_.rows()) return;
    // The last row of a flat weight is filled up with zeros.
    std::vector<std::byte> rest(layout_.columns() * bits_of(weight_.dtype) / 8);
    std::memcpy(rest.data(), weight_.data + rows.bytes(), weight_.bytes() - rows.bytes());
    (void)backend_.quantize(spec_, {rest.data(), weight_.dtype, 1, layout_.columns()}, amax,
                            {codes + layout_.code_bytes(whole), scales + layout_.scale_bytes(whole)});
  }

  void check_rotated(std::uint32_t largest) const {
    const float limit = spec_.format->facts().largest_weight;
    const float reached = codec::from_bits(largest);
    if (largest < codec::kInfinityBits && !(reached > limit)) return;
    if (largest < codec::kInfinityBits) {
      fail(ErrorKind::out_of_range, "the weight of {} reaches {} when it is rotated, and {} holds at most {}", to_string(info_.shape),
           reached, spec_.format->name(), limit);
    }
    fail(ErrorKind::out_of_range, "the weight of {} is finite, and is so no more when it is rotated", to_string(info_.shape));
  }

  /// Puts the scales, which backends give row by row, where the format stores them.
  void store_scales(LinearLayer& layer, std::vector<std::byte> scales) const {
    if (layout_.row_scale_bytes() != 0) return store_row_scales(layer, scales);
    if (spec_.double_quant) return store_nested(layer, scales);
    if (layout_.swizzled()) {
      layer.scales = formats::Swizzle(layout_.groups_across()).tiled(scales, layout_.groups_across());
    } else {
      layer.scales = std::move(scales);
    }
  }

  /// Codes that stand for levels need their table: a layer without one is read in another way.
  void store_levels(LinearLayer& layer) const {
    const formats::ScaleRules& rules = formats::scale_rules(*spec_.format);
    if (rules.level == nullptr) return;
    for (std::uint32_t code = 0; code < 16; ++code) {
      const float level = rules.level(code);
      const auto* bytes = reinterpret_cast<const std::byte*>(&level);
      layer.levels.insert(layer.levels.end(), bytes, bytes + sizeof level);
    }
  }

  void store_row_scales(LinearLayer& layer, const std::vector<std::byte>& scales) const {
    const std::uint64_t groups = layout_.group_scale_bytes(1);
    layer.scales.resize(layout_.rows() * groups);
    layer.row_scales.resize(layout_.rows() * sizeof(float));
    for (std::uint64_t row = 0; row < layout_.rows(); ++row) {
      const std::byte* from = scales.data() + layout_.scale_bytes(row);
      std::memcpy(layer.scales.data() + row * groups, from, groups);
      std::memcpy(layer.row_scales.data() + row * sizeof(float), from + groups, sizeof(float));
    }
  }

  static void store_nested(LinearLayer& layer, const std::vector<std::byte>& scales) {
    std::vector<float> values(scales.size() / sizeof(float));
    if (!scales.empty()) std::memcpy(values.data(), scales.data(), scales.size());
    const formats::NestedScales nested = formats::nest(values);
    const auto assign = [](std::vector<std::byte>& to, std::span<const std::byte> from) { to.assign(from.begin(), from.end()); };
    assign(layer.scales, std::as_bytes(std::span(nested.codes)));
    assign(layer.nested_scales, std::as_bytes(std::span(nested.magnitudes)));
    assign(layer.nested_levels, std::as_bytes(std::span(formats::dynamic_levels())));
    layer.nested_offset = nested.offset;
  }

  const Backend& backend_;
  const QuantSpec& spec_;
  const MatrixView& weight_;
  TensorInfo info_;
  formats::LayerLayout layout_;
};

}  // namespace

LinearLayer quantize_layer(const Backend& backend, const QuantSpec& spec, const MatrixView& weight) {
  if (spec.format == nullptr) fail(ErrorKind::usage, "quantize needs a format");
  return Quantization(backend, spec, weight).run();
}

}  // namespace halftone::ops
