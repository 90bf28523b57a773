#include "linear/device_weight.hpp"
#include "linear/product_path.hpp"
#include "matmul/block_gemm.hpp"
#include "matmul/quantize_activations.hpp"
#include "matmul/support.hpp"
#include "ops/operation_table.hpp"

namespace halftone::cuda {
namespace {

constexpr std::uint64_t kBlock = 128;

/// Runs of 128 inputs with blocks of 128 × 128 weights, all of INT8.
class Int8BlocksPath : public ProductPath {
 public:
  Int8BlocksPath(const LinearLane& lane, const LinearLayer& layer) : weight_(lane, layer) {}

  [[nodiscard]] std::string method() const override { return std::string(ops::text_of(ops::Product::int8_blocks)); }

  [[nodiscard]] bool prepare(LinearLane& lane, const Inputs& inputs) override {
    launch_quantize_runs_int8({inputs.x, inputs.rows, inputs.columns, codes(lane, inputs), inputs.columns}, scales(lane, inputs),
                              lane.stream());
    return true;
  }

  [[nodiscard]] bool multiply(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) override {
    if (outputs.type != Dtype::BF16) return false;
    launch_int8_block_gemm({.shape = {inputs.rows, weight_.rows(), weight_.columns()},
                            .x = codes(lane, inputs),
                            .w = weight_.codes(),
                            .x_scales = {scales(lane, inputs), 1, inputs.rows},
                            .w_scales = reinterpret_cast<const float*>(weight_.scales()),
                            .bias = weight_.bias().exact,
                            .y = static_cast<std::uint16_t*>(outputs.y)},
                           lane.stream());
    return true;
  }

 private:
  [[nodiscard]] static std::uint8_t* codes(LinearLane& lane, const Inputs& inputs) {
    return lane.room<std::uint8_t>(Room::codes, inputs.rows * inputs.columns);
  }
  [[nodiscard]] static float* scales(LinearLane& lane, const Inputs& inputs) {
    return lane.room<float>(Room::scales, inputs.rows * (inputs.columns / kBlock));
  }

  DeviceWeight weight_;
};

}  // namespace

std::unique_ptr<ProductPath> int8_blocks_path(const LinearLane& lane, const LinearLayer& layer) {
  if (!has_hopper_products() || layer.spec.block_size != kBlock) return nullptr;
  return std::make_unique<Int8BlocksPath>(lane, layer);
}

}  // namespace halftone::cuda
