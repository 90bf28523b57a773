#include <algorithm>

#include "base/fail.hpp"
#include "cpu/linear.hpp"
#include "formats/format_traits.hpp"
#include "ops/activation_maths.hpp"
#include "ops/operation_table.hpp"

namespace halftone::cpu {
namespace {

using ops::Fp8Row;
using ops::Fp8Run;
using ops::Fp8Tensor;
using ops::Int8Row;
using ops::Int8Run;

float largest_of(const float* x, std::uint64_t n) {
  float largest = 0;
  for (std::uint64_t i = 0; i < n; ++i) largest = std::max(largest, codec::magnitude(x[i]));
  return largest;
}

/// Rounds `n` values that share the scale `scale`.
template <class Maths, class Scale>
void round_group(float* x, std::uint64_t n, const Scale& scale, float tensor) {
  const float operand = formats::decode_operand<Maths>(scale.stored, tensor);
  for (std::uint64_t i = 0; i < n; ++i) {
    x[i] = Maths::decode(static_cast<std::uint8_t>(Maths::encode(x[i], scale.encode)), operand);
  }
}

/// The scale of all inputs: a given one, or one made from them.
template <class Maths>
float whole_scale(const LinearLayer& layer, Activations activations, const float* x, std::uint64_t n) {
  if (activations == Activations::loader) {
    if (layer.input_scale) return *layer.input_scale;
    if (Maths::kGrid == ScaleGrid::tensor) return 1.0F;
  }
  if constexpr (formats::TwoLevel<Maths>) {
    const float largest = largest_of(x, n);
    return largest == 0.0F ? 1.0F : Maths::tensor_scale(largest);
  } else if constexpr (Maths::kGrid == ScaleGrid::tensor) {
    return Maths::scale_from_amax(largest_of(x, n)).stored;
  } else {
    return 1.0F;
  }
}

template <class Maths>
void round_with(const LinearLayer& layer, Activations activations, float* x, std::uint64_t rows) {
  const std::uint64_t n = rows * layer.columns;
  const float tensor = whole_scale<Maths>(layer, activations, x, n);
  if constexpr (Maths::kGrid == ScaleGrid::tensor) {
    return round_group<Maths>(x, n, formats::Scale{tensor, tensor}, tensor);
  } else {
    std::uint64_t width = layer.columns;
    if (Maths::kGrid == ScaleGrid::run) width = formats::kRunOf<Maths> != 0 ? formats::kRunOf<Maths> : layer.spec.block_size;
    for (std::uint64_t row = 0; row < rows; ++row, x += layer.columns) {
      for (std::uint64_t first = 0; first < layer.columns; first += width) {
        const std::uint64_t count = std::min(width, layer.columns - first);
        round_group<Maths>(x + first, count, formats::group_scale<Maths>(largest_of(x + first, count), tensor), tensor);
      }
    }
  }
}

}  // namespace

void round_activations(const LinearLayer& layer, Activations activations, float* x, std::uint64_t rows) {
  if (activations == Activations::plain) return;
  switch (ops::operations_of(*layer.spec.format).activations) {
    case ops::ActivationKind::plain: return;
#define HALFTONE_ACTIVATIONS(name, maths, text) \
  case ops::ActivationKind::name:               \
    return round_with<maths>(layer, activations, x, rows);
#include "ops/activations.def"
#undef HALFTONE_ACTIVATIONS
  }
  fail(ErrorKind::internal, "an unknown kind of activations");
}

}  // namespace halftone::cpu
