#pragma once

#include "eval/float_reader.hpp"

namespace halftone::eval {

/// Two tensors of one name.
struct Pair {
  const ModelTensor* original;
  const ModelTensor* other;
};

/// Whether all that belongs to a tensor, the scales and the JSON of a quantized layer included, is equal byte for byte.
[[nodiscard]] bool stored_alike(const FloatModel& original, const FloatModel& other, const Pair& pair);

}  // namespace halftone::eval
