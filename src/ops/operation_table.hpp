#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/linear.hpp>

namespace halftone::ops {

/// How a GPU multiplies.
enum class Product : std::uint8_t {
#define HALFTONE_PRODUCT(name, text) name,
#include "ops/products.def"
#undef HALFTONE_PRODUCT
};

/// What inputs become.
enum class ActivationKind : std::uint8_t {
  plain,  ///< they stay as they are
#define HALFTONE_ACTIVATIONS(name, maths, text) name,
#include "ops/activations.def"
#undef HALFTONE_ACTIVATIONS
};

[[nodiscard]] std::string_view text_of(Product product) noexcept;
/// Empty for plain.
[[nodiscard]] std::string_view text_of(ActivationKind kind) noexcept;

/// A row of the operation table.  `linear` is done by the device, which has a function for each product and kind of
/// activations; the others are functions of the host that may use a backend.
struct FormatOperations {
  LinearLayer (*quantize)(const Backend& backend, const QuantSpec& spec, const MatrixView& weight);
  std::vector<float> (*dequantize)(const Backend& backend, const LinearLayer& layer);
  std::vector<PlainTensor> (*plain_tensors)(const LinearLayer& layer, const std::string& weight);
  LinearLayer (*transpose)(const LinearLayer& layer);
  Product product;
  ActivationKind activations;
};

[[nodiscard]] const FormatOperations& operations_of(const FormatDescriptor& format) noexcept;

}  // namespace halftone::ops
