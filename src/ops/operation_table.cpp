#include "ops/operation_table.hpp"

#include <array>

#include <fmt/format.h>

#include "ops/layer_operations.hpp"

namespace halftone {
namespace ops {
namespace {

/// The formats, in the order of formats.def, by the names of their folders.
enum class Folder : std::uint8_t {
#define HALFTONE_FORMAT(folder) folder,
#include "formats/formats.def"
#undef HALFTONE_FORMAT
};

/// What operations.def says of a format, or the rule for formats that it does not name.
struct LinearRule {
  Product product = Product::dequantized;
  ActivationKind activations = ActivationKind::plain;
};
template <Folder>
constexpr LinearRule kRule{};
#define HALFTONE_OPERATIONS(folder, product, activations) \
  template <>                                             \
  constexpr LinearRule kRule<Folder::folder>{Product::product, ActivationKind::activations};
#include "ops/operations.def"
#undef HALFTONE_OPERATIONS

constexpr std::array kTable = {
#define HALFTONE_FORMAT(folder)                   \
  FormatOperations{quantize_layer,                \
                   dequantize_layer,              \
                   plain_tensors_of,              \
                   transpose_layer,               \
                   kRule<Folder::folder>.product, \
                   kRule<Folder::folder>.activations},
#include "formats/formats.def"
#undef HALFTONE_FORMAT
};

}  // namespace

std::string_view text_of(Product product) noexcept {
  switch (product) {
#define HALFTONE_PRODUCT(name, text) \
  case Product::name:                \
    return text;
#include "ops/products.def"
#undef HALFTONE_PRODUCT
  }
  return {};  // not reached: every product is named above
}

std::string_view text_of(ActivationKind kind) noexcept {
  switch (kind) {
    case ActivationKind::plain: return {};
#define HALFTONE_ACTIVATIONS(name, maths, text) \
  case ActivationKind::name:                    \
    return text;
#include "ops/activations.def"
#undef HALFTONE_ACTIVATIONS
  }
  return {};  // not reached: every kind is named above
}

const FormatOperations& operations_of(const FormatDescriptor& format) noexcept { return kTable[format.index()]; }

}  // namespace ops

LinearFacts linear_facts(const FormatDescriptor& format) {
  const ops::FormatOperations& row = ops::operations_of(format);
  return {ops::text_of(row.product), ops::text_of(row.activations), row.product != ops::Product::dequantized};
}

Support can_quantize_activations(const LinearLayer& layer) {
  const FormatDescriptor& format = *layer.spec.format;
  if (ops::operations_of(format).activations == ops::ActivationKind::plain) {
    return {false, fmt::format("{} is a format of weights alone: nobody quantizes the inputs of its layers", format.name())};
  }
  if (layer.scales_of_columns) {
    return {false,
            fmt::format("the scales of a transposed layer of {} are those of its columns, which a product sums over", format.name())};
  }
  return {};
}

}  // namespace halftone
