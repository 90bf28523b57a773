#pragma once

#include <memory>
#include <string>

#include <halftone/linear.hpp>

#include "linear/activation_launches.hpp"
#include "linear/linear_lane.hpp"

namespace halftone::cuda {

/// Where a product goes: rows × outputs of BF16 or F32, on the device.
struct Outputs {
  void* y;
  Dtype type;
};

/// A way to multiply inputs with a weight that lies on a device.
class ProductPath {
 public:
  virtual ~ProductPath() = default;
  /// As Linear::method().
  [[nodiscard]] virtual std::string method() const = 0;
  /// Puts into the lane what becomes of the inputs before they are multiplied, in the lane's rooms; false where rows of this
  /// number cannot be multiplied so.
  [[nodiscard]] virtual bool prepare(LinearLane& lane, const Inputs& inputs) = 0;
  /// Puts the product of what prepare() has made into the lane; false, and nothing done, as above.
  [[nodiscard]] virtual bool multiply(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) = 0;
};

/// A weight of BF16, rows × columns.
[[nodiscard]] std::unique_ptr<ProductPath> dense_path(const LinearLane& lane, const std::vector<std::byte>& weight, std::uint64_t rows,
                                                      const std::vector<float>& bias);

/// Any layer: the weight is decoded to BF16, for few rows of inputs on its way into the tensor cores; inputs are rounded to what
/// `activations` can hold of them.
[[nodiscard]] std::unique_ptr<ProductPath> dequantized_path(const LinearLane& lane, const LinearLayer& layer,
                                                            halftone::Activations activations);

/// The products of codes with codes; null where the device or the shape of the layer has none.
[[nodiscard]] std::unique_ptr<ProductPath> fp8_path(const LinearLane& lane, const LinearLayer& layer, halftone::Activations activations);
[[nodiscard]] std::unique_ptr<ProductPath> int8_path(const LinearLane& lane, const LinearLayer& layer);
/// FP8 and INT8 with scales of blocks.
[[nodiscard]] std::unique_ptr<ProductPath> blocks_path(const LinearLane& lane, const LinearLayer& layer);
/// NVFP4 and MXFP8 on Blackwell.
[[nodiscard]] std::unique_ptr<ProductPath> run_scaled_path(const LinearLane& lane, const LinearLayer& layer,
                                                           halftone::Activations activations);

/// What the operation table says of products with quantized inputs.
[[nodiscard]] std::string method_of(const QuantSpec& spec);

/// The scale of all inputs, for kinds of activations that have one: that of the layer, 1, or one that is measured, in a word of
/// the lane.
[[nodiscard]] WholeScale whole_scale(LinearLane& lane, const Inputs& inputs, const LinearLayer& layer, halftone::Activations activations);

}  // namespace halftone::cuda
