#include "launch_table.hpp"
#include "linear/device_weight.hpp"
#include "linear/epilogues.hpp"
#include "linear/expanded_codes.hpp"
#include "linear/product_path.hpp"
#include "matmul/requirements.hpp"
#include "matmul/row_gemm.hpp"
#include "ops/operation_table.hpp"

namespace halftone::cuda {
namespace {

constexpr int kFirstArchitecture = 75;

/// INT8 with INT8, and what is expanded to INT8 first.
class Int8Path : public ProductPath {
 public:
  Int8Path(const LinearLane& lane, const LinearLayer& layer) : weight_(lane, layer) {}

  [[nodiscard]] std::string method() const override { return method_of(weight_.spec()); }

  [[nodiscard]] bool prepare(LinearLane& lane, const Inputs& inputs) override {
    const std::uint32_t rotation = weight_.spec().rotation_group;
    float* rotated = rotation == 0 ? nullptr : lane.room<float>(Room::rotated, inputs.rows * inputs.columns);
    const bool four_bits = ops::operations_of(*weight_.spec().format).activations == ops::ActivationKind::int4_row;
    launch_int8_rows(inputs, rotation, four_bits, rotated, codes(lane, inputs), scales(lane, inputs), lane.words(), lane.stream());
    return true;
  }

  [[nodiscard]] bool multiply(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) override {
    if (outputs.type == Dtype::BF16 && has_hopper_products()) {
      launch_int8_gemm({.shape = {inputs.rows, weight_.rows(), weight_.columns()},
                        .x = codes(lane, inputs),
                        .w = weight_codes(lane),
                        .x_scales = {scales(lane, inputs), true},
                        .w_scales = {weight_scales(), scales_per_row()},
                        .bias = weight_.bias().exact,
                        .y = static_cast<std::uint16_t*>(outputs.y)},
                       lane.stream());
      return true;
    }
    auto* sums = lane.room<std::int32_t>(Room::sums, inputs.rows * weight_.rows());
    if (!lane.products().multiply({.m = inputs.rows,
                                   .n = weight_.rows(),
                                   .k = weight_.columns(),
                                   .x = {.type = CUDA_R_8I, .data = codes(lane, inputs)},
                                   .w = {.type = CUDA_R_8I, .data = weight_codes(lane)},
                                   .y_type = CUDA_R_32I,
                                   .y = sums})) {
      return false;
    }
    launch_scaled_sums({sums, inputs.rows, weight_.rows(), scales(lane, inputs), weight_scales(), scales_per_row(), weight_.bias().exact},
                       outputs.type, outputs.y, lane.stream());
    return true;
  }

 private:
  [[nodiscard]] static std::uint8_t* codes(LinearLane& lane, const Inputs& inputs) {
    return lane.room<std::uint8_t>(Room::codes, inputs.rows * inputs.columns);
  }
  [[nodiscard]] static float* scales(LinearLane& lane, const Inputs& inputs) { return lane.room<float>(Room::scales, inputs.rows); }
  [[nodiscard]] bool packed() const { return weight_.spec().format->storage().code_bits == 4; }
  [[nodiscard]] bool has_row_scales() const { return weight_.row_scales() != nullptr; }
  [[nodiscard]] bool scales_per_row() const { return weight_.spec().format->grid() != ScaleGrid::tensor; }
  [[nodiscard]] const float* weight_scales() const {
    return has_row_scales() ? weight_.row_scales() : reinterpret_cast<const float*>(weight_.scales());
  }
  [[nodiscard]] const std::uint8_t* weight_codes(LinearLane& lane) const {
    if (!packed()) return weight_.codes();
    const std::uint64_t n = weight_.rows() * weight_.columns();
    auto* out = lane.room<std::int8_t>(Room::weight, n);
    const auto* scales = has_row_scales() ? reinterpret_cast<const std::uint8_t*>(weight_.scales()) : nullptr;
    launch_expanded({weight_.codes(), n, scales, weight_.spec().group_size}, out, lane.stream());
    return reinterpret_cast<const std::uint8_t*>(out);
  }

  DeviceWeight weight_;
};

}  // namespace

std::unique_ptr<ProductPath> int8_path(const LinearLane& lane, const LinearLayer& layer) {
  if (lane.architecture() < kFirstArchitecture || layer.columns % kCodeAlignment != 0 || layer.rows % 4 != 0) return nullptr;
  if (layer.columns > kInt8GemmLongestRow) return nullptr;
  return std::make_unique<Int8Path>(lane, layer);
}

}  // namespace halftone::cuda
