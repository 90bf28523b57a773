#include "linear/device_weight.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include <halftone/codec/half.hpp>

#include "base/checked.hpp"
#include "formats/layer_layout.hpp"
#include "launch_table.hpp"
#include "ops/natural_scales.hpp"

namespace halftone::cuda {
namespace {

/// The codes, and zeros behind them: kernels read a flat weight to the end of its last block, and whole vectors.
std::vector<std::byte> whole_codes(const LinearLayer& layer) {
  constexpr std::size_t vector_bytes = 16;
  const formats::LayerLayout layout(layer.spec, layer.rows, layer.columns);
  std::vector<std::byte> bytes = layer.codes;
  bytes.resize(std::max<std::uint64_t>(bytes.size(), layout.code_bytes(layout.rows())) + vector_bytes);
  return bytes;
}

/// The scale, a 0, and a 1 for kernels that decode without it; nothing where the weight has not one scale alone.
std::vector<float> factor_of(const LinearLayer& layer) {
  if (layer.spec.format->grid() != ScaleGrid::tensor) return {};
  float scale = layer.tensor_scale;
  const std::vector<std::byte> of_group = ops::group_scales(layer);
  if (!of_group.empty()) std::memcpy(&scale, of_group.data(), sizeof scale);
  return {scale, 0.0F, 1.0F};
}

}  // namespace

std::vector<std::byte> bf16_of(const std::vector<float>& values) {
  std::vector<std::uint16_t> codes(values.size());
  std::transform(values.begin(), values.end(), codes.begin(), codec::Bf16::encode);
  const auto bytes = std::as_bytes(std::span(codes));
  return {bytes.begin(), bytes.end()};
}

DeviceBuffer uploaded(const LinearLane& lane, const void* data, std::uint64_t n_bytes) {
  DeviceBuffer buffer(n_bytes, lane.stream());
  if (n_bytes == 0) return buffer;
  check(cudaMemcpyAsync(buffer.data(), data, n_bytes, cudaMemcpyHostToDevice, lane.stream()), "copy to the device");
  lane.whole_stream().synchronize();
  return buffer;
}

DeviceBias::DeviceBias(const LinearLane& lane, const std::vector<float>& values)
    : exact(uploaded(lane, values)), rounded(uploaded(lane, bf16_of(values))) {}

DeviceWeight::DeviceWeight(const LinearLane& lane, const LinearLayer& layer)
    : spec_(layer.spec),
      rows_(layer.rows),
      columns_(layer.columns),
      codes_(uploaded(lane, whole_codes(layer))),
      scales_(uploaded(lane, ops::group_scales(layer))),
      backend_scales_(layer.row_scales.empty() ? DeviceBuffer() : uploaded(lane, ops::backend_scales(layer))),
      tensor_scale_(uploaded(lane, &layer.tensor_scale, sizeof layer.tensor_scale)),
      row_scales_(uploaded(lane, layer.row_scales)),
      factor_(uploaded(lane, factor_of(layer))),
      bias_(lane, layer.bias) {}

const std::byte* DeviceWeight::scales() const noexcept { return scales_.data() != nullptr ? scales_.data() : tensor_scale_.data(); }

const std::uint16_t* DeviceWeight::decoded(LinearLane& lane) const {
  const std::byte* group_scales = backend_scales_.data() != nullptr ? backend_scales_.data() : scales();
  if (factor() != nullptr) group_scales = reinterpret_cast<const std::byte*>(factor() + 2);
  const formats::LayerLayout layout(spec_, rows_, columns_);
  auto* out = lane.room<std::uint16_t>(Room::weight, layout.rows() * layout.columns());
  const DequantizeArgs args{.codes = codes(),
                            .rows = layout.rows(),
                            .columns = layout.columns(),
                            .block_size = spec_.block_size,
                            .group_size = spec_.group_size,
                            .scales = group_scales,
                            .tensor_scale = tensor_scale(),
                            .out = out};
  launches_of(*spec_.format).dequantize[formats::float_index(Dtype::BF16)](args, lane.stream());
  return out;
}

std::uint64_t DeviceWeight::group_width() const {
  return spec_.format->storage().flat ? spec_.block_size : formats::LayerLayout(spec_, rows_, columns_).group_columns();
}

std::uint64_t DeviceWeight::code_pitch() const {
  if (spec_.format->storage().flat) return columns_ / 2;
  return formats::LayerLayout(spec_, rows_, columns_).code_bytes(1);
}

bool DeviceWeight::fits_decoding() const {
  if (columns_ == 0) return false;
  if (spec_.format->storage().flat && columns_ % spec_.block_size != 0) return false;
  return decoding_fits(*spec_.format, columns_, group_width(), code_pitch());
}

void DeviceWeight::decode_and_multiply(const LinearLane& lane, const std::uint16_t* x, std::uint64_t m, const float* factor, Dtype y_type,
                                       void* y) const {
  const formats::LayerLayout layout(spec_, rows_, columns_);
  const bool whole_rows = group_width() == columns_;
  const std::uint64_t across = !layout.has_group_scales()     ? 0
                               : spec_.format->storage().flat ? columns_ / spec_.block_size
                                                              : layout.groups_across();
  decoding_launch (*spec_.format)({.codes = codes(),
                                   .code_pitch = code_pitch(),
                                   .scales = scales(),
                                   .tensor_scale = tensor_scale(),
                                   .row_scales = row_scales(),
                                   .group_rows = static_cast<std::uint32_t>(layout.group_rows()),
                                   .group_shift = whole_rows ? 31U : static_cast<std::uint32_t>(std::countr_zero(group_width())),
                                   .groups_across = static_cast<std::uint32_t>(across),
                                   .x = x,
                                   .m = m,
                                   .n = rows_,
                                   .k = columns_,
                                   .bias = bias_.exact.as<float>(),
                                   .y = y,
                                   .y_is_f32 = y_type == Dtype::F32,
                                   .sum_scale = factor},
                                  lane.stream());
}

}  // namespace halftone::cuda
