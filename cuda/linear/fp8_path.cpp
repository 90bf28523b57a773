#include <array>

#include "linear/device_weight.hpp"
#include "linear/fastest.hpp"
#include "linear/product_path.hpp"
#include "matmul/requirements.hpp"
#include "matmul/row_gemm.hpp"

namespace halftone::cuda {
namespace {

/// What the tensor cores need both dimensions of a weight to be multiples of.
constexpr std::uint64_t kAlignment = 16;
constexpr int kFirstArchitecture = 89;

class Fp8Path : public ProductPath {
 public:
  Fp8Path(const LinearLane& lane, const LinearLayer& layer, halftone::Activations activations)
      : weight_(lane, layer), activations_(activations), by_rows_(layer.spec.format->grid() == ScaleGrid::row) {
    facts_.spec = layer.spec;
    facts_.input_scale = layer.input_scale;
  }

  [[nodiscard]] std::string method() const override { return method_of(weight_.spec()); }

  [[nodiscard]] bool prepare(LinearLane& lane, const Inputs& inputs) override {
    if (by_rows_) {
      launch_fp8_rows(inputs, codes(lane, inputs), scales(lane, inputs), lane.words(), lane.stream());
    } else {
      launch_fp8_tensor(inputs, whole_scale(lane, inputs, facts_, activations_), codes(lane, inputs), scales(lane, inputs), lane.stream());
    }
    return true;
  }

  [[nodiscard]] bool multiply(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) override {
    const auto library = [&] { return multiply_by_library(lane, inputs, outputs); };
    if (outputs.type != Dtype::BF16 || !has_hopper_products()) return library();
    const auto own = [&] { return multiply_by_kernel(lane, inputs, outputs); };
    static std::array<Fastest, 3> fastest;  // per tensor, per row, with E5M2
    const Fastest::Shape shape{static_cast<std::uint64_t>(lane.device()), inputs.rows, weight_.rows(), weight_.columns()};
    return fastest[has_e5m2() ? 2 : by_rows_ ? 1 : 0].first(shape, lane.stream(), own, library) ? own() : library();
  }

 private:
  [[nodiscard]] bool multiply_by_kernel(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) const {
    launch_fp8_gemm({.shape = {inputs.rows, weight_.rows(), weight_.columns()},
                     .x = codes(lane, inputs),
                     .w = weight_.codes(),
                     .x_scales = {scales(lane, inputs), by_rows_},
                     .w_scales = {reinterpret_cast<const float*>(weight_.scales()), by_rows_},
                     .bias = weight_.bias().exact,
                     .y = static_cast<std::uint16_t*>(outputs.y)},
                    has_e5m2() ? Fp8Weight::e5m2 : Fp8Weight::e4m3, lane.stream());
    return true;
  }

  [[nodiscard]] bool multiply_by_library(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) const {
    const Scaling scaling = by_rows_ ? Scaling::rows : Scaling::tensor;
    return lane.multiply({.m = inputs.rows,
                          .n = weight_.rows(),
                          .k = weight_.columns(),
                          .x = {.type = CUDA_R_8F_E4M3, .scaling = scaling, .data = codes(lane, inputs), .scales = scales(lane, inputs)},
                          .w = {.type = has_e5m2() ? CUDA_R_8F_E5M2 : CUDA_R_8F_E4M3,
                                .scaling = scaling,
                                .data = weight_.codes(),
                                .scales = weight_.scales()}},
                         weight_.bias(), outputs.type, outputs.y);
  }

  [[nodiscard]] bool has_e5m2() const { return weight_.spec().format->facts().code_dtype == Dtype::F8_E5M2; }
  [[nodiscard]] static std::uint8_t* codes(LinearLane& lane, const Inputs& inputs) {
    return lane.room<std::uint8_t>(Room::codes, inputs.rows * inputs.columns);
  }
  [[nodiscard]] static float* scales(LinearLane& lane, const Inputs& inputs) { return lane.room<float>(Room::scales, inputs.rows); }

  DeviceWeight weight_;
  LinearLayer facts_;  ///< without its tensors
  halftone::Activations activations_;
  bool by_rows_;
};

}  // namespace

std::unique_ptr<ProductPath> fp8_path(const LinearLane& lane, const LinearLayer& layer, halftone::Activations activations) {
  if (lane.architecture() < kFirstArchitecture || layer.rows % kAlignment != 0 || layer.columns % kAlignment != 0) return nullptr;
  return std::make_unique<Fp8Path>(lane, layer, activations);
}

}  // namespace halftone::cuda
