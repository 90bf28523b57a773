#include <cstring>

#include "base/checked.hpp"
#include "linear/device_weight.hpp"
#include "linear/fastest.hpp"
#include "linear/product_path.hpp"
#include "matmul/block_gemm.hpp"
#include "matmul/quantize_activations.hpp"
#include "matmul/requirements.hpp"
#include "ops/operation_table.hpp"

namespace halftone::cuda {
namespace {

/// What codes of one type need.
struct BlockKernels {
  void (*quantize)(const cuda::Activations& activations, float* scales, cudaStream_t stream);
  void (*multiply)(const BlockGemm& product, cudaStream_t stream);
  bool in_library;  ///< whether cuBLASLt has such products, too
};

const BlockKernels& kernels_of(const LinearLayer& layer) {
  static constexpr BlockKernels kInt8{launch_quantize_runs_int8, launch_int8_block_gemm, false};
  static constexpr BlockKernels kFp8{launch_quantize_runs_fp8, launch_fp8_block_gemm, true};
  return ops::operations_of(*layer.spec.format).product == ops::Product::int8_blocks ? kInt8 : kFp8;
}

/// The scales of blocks as cuBLASLt has them: rows of blocks begin at multiples of 4.
std::vector<float> spread_scales(const LinearLayer& layer) {
  const std::uint64_t across = layer.columns / kScaleBlock;
  const std::uint64_t pitch = base::round_up(across, 4);
  const std::uint64_t down = layer.rows / kScaleBlock;
  std::vector<float> out(down * pitch);
  for (std::uint64_t row = 0; row < down; ++row) {
    std::memcpy(out.data() + row * pitch, layer.scales.data() + row * across * sizeof(float), across * sizeof(float));
  }
  return out;
}

/// Runs of 128 inputs with blocks of 128 × 128 weights.
class BlocksPath : public ProductPath {
 public:
  BlocksPath(const LinearLane& lane, const LinearLayer& layer)
      : weight_(lane, layer),
        kernels_(kernels_of(layer)),
        spread_(kernels_.in_library ? uploaded(lane, spread_scales(layer)) : DeviceBuffer()) {}

  [[nodiscard]] std::string method() const override { return method_of(weight_.spec()); }

  [[nodiscard]] bool prepare(LinearLane& lane, const Inputs& inputs) override {
    kernels_.quantize({inputs.x, inputs.rows, inputs.columns, codes(lane, inputs), inputs.columns}, scales(lane, inputs), lane.stream());
    return true;
  }

  [[nodiscard]] bool multiply(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) override {
    const auto library = [&] { return multiply_by_library(lane, inputs, outputs); };
    if (outputs.type != Dtype::BF16) return library();
    const auto own = [&] { return multiply_by_kernel(lane, inputs, outputs); };
    if (!kernels_.in_library) return own();
    static Fastest fastest;
    const Fastest::Shape shape{static_cast<std::uint64_t>(lane.device()), inputs.rows, weight_.rows(), weight_.columns()};
    return fastest.first(shape, lane.stream(), own, library) ? own() : library();
  }

 private:
  [[nodiscard]] bool multiply_by_library(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) const {
    // The library wants the scales of each run to begin at a vector.
    if (!kernels_.in_library || inputs.rows % 4 != 0) return false;
    return lane.multiply(
        {.m = inputs.rows,
         .n = weight_.rows(),
         .k = weight_.columns(),
         .x = {.type = CUDA_R_8F_E4M3, .scaling = Scaling::runs_128, .data = codes(lane, inputs), .scales = scales(lane, inputs)},
         .w = {.type = CUDA_R_8F_E4M3, .scaling = Scaling::blocks_128, .data = weight_.codes(), .scales = spread_.data()}},
        weight_.bias(), outputs.type, outputs.y);
  }

  [[nodiscard]] bool multiply_by_kernel(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) const {
    kernels_.multiply({.shape = {inputs.rows, weight_.rows(), weight_.columns()},
                       .x = codes(lane, inputs),
                       .w = weight_.codes(),
                       .x_scales = {scales(lane, inputs), 1, inputs.rows},
                       .w_scales = reinterpret_cast<const float*>(weight_.scales()),
                       .bias = weight_.bias().exact,
                       .y = static_cast<std::uint16_t*>(outputs.y)},
                      lane.stream());
    return true;
  }

  [[nodiscard]] static std::uint8_t* codes(LinearLane& lane, const Inputs& inputs) {
    return lane.room<std::uint8_t>(Room::codes, inputs.rows * inputs.columns);
  }
  [[nodiscard]] static float* scales(LinearLane& lane, const Inputs& inputs) {
    return lane.room<float>(Room::scales, inputs.rows * (inputs.columns / kScaleBlock));
  }

  DeviceWeight weight_;
  const BlockKernels& kernels_;
  DeviceBuffer spread_;
};

}  // namespace

std::unique_ptr<ProductPath> blocks_path(const LinearLane& lane, const LinearLayer& layer) {
  if (!has_hopper_products() || layer.spec.block_size != kScaleBlock) return nullptr;
  return std::make_unique<BlocksPath>(lane, layer);
}

}  // namespace halftone::cuda
