#include <fmt/format.h>

#include "launch_table.hpp"
#include "linear/device_weight.hpp"
#include "linear/product_path.hpp"
#include "ops/operation_table.hpp"

namespace halftone::cuda {
namespace {

/// A product of BF16 with BF16; `factor` as LibraryProduct::alpha.
bool multiply_dense(LinearLane& lane, const std::uint16_t* x, const std::uint16_t* weight, const float* factor, const Inputs& shape,
                    std::uint64_t outputs, const LinearLane::Bias& bias, const Outputs& to) {
  return lane.multiply({.m = shape.rows,
                        .n = outputs,
                        .k = shape.columns,
                        .x = {.type = CUDA_R_16BF, .data = x},
                        .w = {.type = CUDA_R_16BF, .data = weight},
                        .alpha = factor},
                       bias, to.type, to.y);
}

class DensePath : public ProductPath {
 public:
  DensePath(const LinearLane& lane, const std::vector<std::byte>& weight, std::uint64_t rows, const std::vector<float>& bias)
      : rows_(rows), weight_(uploaded(lane, weight)), bias_(lane, bias) {}

  [[nodiscard]] std::string method() const override { return std::string(ops::text_of(ops::Product::bf16)); }
  [[nodiscard]] bool prepare(LinearLane&, const Inputs&) override { return true; }
  [[nodiscard]] bool multiply(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) override {
    return multiply_dense(lane, inputs.x, weight_.as<std::uint16_t>(), nullptr, inputs, rows_, bias_.view(), outputs);
  }

 private:
  std::uint64_t rows_;
  DeviceBuffer weight_;
  DeviceBias bias_;
};

class DequantizedPath : public ProductPath {
 public:
  DequantizedPath(const LinearLane& lane, const LinearLayer& layer, halftone::Activations activations)
      : weight_(lane, layer), activations_(activations) {
    facts_.spec = layer.spec;
    facts_.input_scale = layer.input_scale;
  }

  /// Of the last product.
  [[nodiscard]] std::string method() const override {
    return fmt::format("{}{}", activations_ == halftone::Activations::plain ? "" : "rounded inputs, ",
                       ops::text_of(decoded_ ? ops::Product::decoding : ops::Product::dequantized));
  }

  [[nodiscard]] bool prepare(LinearLane& lane, const Inputs& inputs) override {
    factor_ = weight_.factor();
    if (!changes_inputs()) return true;
    const std::uint32_t group = weight_.spec().rotation_group;
    const std::uint64_t n = inputs.rows * inputs.columns;
    auto* out = lane.room<std::uint16_t>(Room::prepared, n);
    float* rotated = group == 0 ? nullptr : lane.room<float>(Room::rotated, n);
    if (group != 0) rotate_launch(Dtype::BF16)(inputs.x, n, group, rotated, lane.stream());
    if (activations_ == halftone::Activations::plain) {
      cast_launch(Dtype::F32, Dtype::BF16)(rotated, n, out, lane.stream());
      return true;
    }
    const ops::ActivationKind kind = ops::operations_of(*weight_.spec().format).activations;
    const WholeScale whole = has_whole_scale(kind) ? whole_scale(lane, inputs, facts_, activations_) : WholeScale{};
    if (scales_products(kind)) {
      auto* const both = reinterpret_cast<float*>(lane.words() + kFactorWords);
      launch_product_factor(whole, weight_.factor(), both, lane.stream());
      factor_ = both;
    }
    launch_rounded(kind, inputs, rotated, weight_.spec().block_size, whole, out, lane.stream());
    return true;
  }

  [[nodiscard]] bool multiply(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) override {
    const std::uint16_t* x = changes_inputs() ? lane.room<std::uint16_t>(Room::prepared, inputs.rows * inputs.columns) : inputs.x;
    decoded_ = inputs.rows <= kDecodingRows && weight_.fits_decoding();
    if (decoded_) {
      weight_.decode_and_multiply(lane, x, inputs.rows, factor_, outputs.type, outputs.y);
      return true;
    }
    return multiply_dense(lane, x, weight_.decoded(lane), factor_, inputs, weight_.rows(), weight_.bias(), outputs);
  }

 private:
  /// Inputs meet the weight rotated as it is, and rounded.
  [[nodiscard]] bool changes_inputs() const { return weight_.spec().rotation_group != 0 || activations_ != halftone::Activations::plain; }

  DeviceWeight weight_;
  LinearLayer facts_;  ///< without its tensors
  halftone::Activations activations_;
  const float* factor_ = nullptr;  ///< of the product
  bool decoded_ = false;
};

}  // namespace

std::string method_of(const QuantSpec& spec) { return std::string(ops::text_of(ops::operations_of(*spec.format).product)); }

WholeScale whole_scale(LinearLane& lane, const Inputs& inputs, const LinearLayer& layer, halftone::Activations activations) {
  if (activations == halftone::Activations::loader) {
    if (layer.input_scale) return {.given = *layer.input_scale};
    // ComfyUI measures the inputs of NVFP4, and not those of FP8.
    if (!layer.spec.format->storage().two_level) return {};
  }
  std::uint32_t* largest = lane.words();
  check(cudaMemsetAsync(largest, 0, sizeof *largest, lane.stream()), "clear device memory");
  max_magnitude_launch(Dtype::BF16)(inputs.x, inputs.rows * inputs.columns, largest, lane.stream());
  return {.measured = largest};
}

std::unique_ptr<ProductPath> dense_path(const LinearLane& lane, const std::vector<std::byte>& weight, std::uint64_t rows,
                                        const std::vector<float>& bias) {
  return std::make_unique<DensePath>(lane, weight, rows, bias);
}

std::unique_ptr<ProductPath> dequantized_path(const LinearLane& lane, const LinearLayer& layer, halftone::Activations activations) {
  return std::make_unique<DequantizedPath>(lane, layer, activations);
}

}  // namespace halftone::cuda
