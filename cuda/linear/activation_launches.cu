#include "linear/activation_launches.hpp"

#include "kernels/flat.cuh"
#include "kernels/groups.cuh"
#include "kernels/ops.cuh"
#include "kernels/rotate.cuh"
#include "kernels/rotated_rows.cuh"
#include "ops/activation_maths.hpp"

namespace halftone::cuda {
namespace {

using ops::Fp8Row;
using ops::Fp8Run;
using ops::Fp8Tensor;
using ops::Int8Row;
using ops::Int8Run;

__device__ float scale_of(const WholeScale& whole) {
  return whole.measured == nullptr ? whole.given : Fp8Tensor::scale_from_amax(codec::from_bits(*whole.measured)).stored;
}

/// Writes the scale that the codes are made with.
__global__ void whole_scale_kernel(WholeScale whole, float* scale) { *scale = scale_of(whole); }

__global__ void product_factor_kernel(WholeScale whole, const float* others, float* factor) {
  factor[0] = scale_of(whole) * (others == nullptr ? 1.0F : *others);
  factor[1] = 0.0F;
}

/// The code with the scale that the kernel before in the stream has written.
struct EncodeWithStored {
  using Out = std::uint8_t;
  static constexpr bool kWrites = true;
  static constexpr bool kReadAgain = false;
  static constexpr bool kFollows = false;
  const float* stored;
  float scale = 0;

  __device__ void begin() { scale = *stored; }
  template <int Width>
  __device__ Chunk<Out, Width> operator()(const Chunk<std::uint16_t, Width>& chunk) const {
    return Encode<Fp8Tensor, Bf16>{scale}(chunk);
  }
  __device__ void finish() const {}
};

Groups rows_of(const Inputs& inputs) { return Groups::of(inputs.rows, inputs.columns, 1, inputs.columns); }

template <class Maths>
void quantize_rows(const Inputs& inputs, std::uint32_t rotation_group, float* rotated, std::uint8_t* codes, float* scales,
                   std::uint32_t* unused, cudaStream_t stream) {
  if (rotation_group == 0) return launch_groups<Maths, Bf16>(inputs.x, rows_of(inputs), codes, scales, unused, stream);
  if (launch_rotated_rows<Maths, Bf16>(inputs.x, inputs.rows, inputs.columns, rotation_group, codes, scales, unused, stream)) return;
  launch_rotate<Bf16>(inputs.x, inputs.rows * inputs.columns, rotation_group, rotated, stream);
  launch_groups<Maths, F32>(rotated, rows_of(inputs), codes, scales, unused, stream);
}

constexpr unsigned kRoundThreads = 256;

/// A warp to each group of `width` elements of a row.
template <class Maths, class Source>
__global__ void __launch_bounds__(kRoundThreads)
    round_kernel(const typename Source::Raw* __restrict__ in, std::uint64_t groups, std::uint32_t across, std::uint64_t columns,
                 std::uint64_t width, WholeScale whole, std::uint16_t* __restrict__ out) {
  const std::uint64_t group = static_cast<std::uint64_t>(blockIdx.x) * (kRoundThreads / 32) + threadIdx.x / 32;
  if (group >= groups) return;
  const std::uint64_t first = group % across * width;
  const std::uint64_t n = min(width, columns - first);
  const std::uint64_t at = group / across * columns + first;
  const unsigned lane = threadIdx.x % 32;
  std::uint32_t largest = 0;
  for (std::uint64_t i = lane; i < n; i += 32) largest = max(largest, codec::bits(codec::magnitude(Source::decode(in[at + i]))));
  const float amax = codec::from_bits(__reduce_max_sync(0xFFFF'FFFFU, largest));
  float tensor = whole.given;
  if constexpr (formats::TwoLevel<Maths>) {
    if (whole.measured != nullptr) tensor = *whole.measured == 0 ? 1.0F : Maths::tensor_scale(codec::from_bits(*whole.measured));
  }
  auto scale = formats::group_scale<Maths>(amax, tensor);
  if constexpr (Maths::kGrid == ScaleGrid::tensor) {
    if (whole.measured != nullptr) {
      scale = Maths::scale_from_amax(codec::from_bits(*whole.measured));
    } else {
      scale = {whole.given, whole.given};
    }
  }
  const float operand = Maths::kGrid == ScaleGrid::tensor ? 1.0F : formats::decode_operand<Maths>(scale.stored, tensor);
  for (std::uint64_t i = lane; i < n; i += 32) {
    const std::uint32_t code = Maths::encode(Source::decode(in[at + i]), scale.encode);
    out[at + i] = Bf16::encode(Maths::decode(static_cast<std::uint8_t>(code), operand));
  }
}

template <class Maths, class Source>
void round_with(const typename Source::Raw* in, const Inputs& inputs, std::uint32_t run, const WholeScale& whole, std::uint16_t* out,
                cudaStream_t stream) {
  std::uint64_t width = inputs.columns;
  if (Maths::kGrid == ScaleGrid::run) width = formats::kRunOf<Maths> != 0 ? formats::kRunOf<Maths> : run;
  const auto across = static_cast<std::uint32_t>((inputs.columns + width - 1) / width);
  const std::uint64_t groups = inputs.rows * across;
  const auto blocks = static_cast<unsigned>((groups + kRoundThreads / 32 - 1) / (kRoundThreads / 32));
  round_kernel<Maths, Source><<<blocks, kRoundThreads, 0, stream>>>(in, groups, across, inputs.columns, width, whole, out);
  check_launch("start a kernel that rounds inputs");
}

}  // namespace

void launch_fp8_tensor(const Inputs& inputs, const WholeScale& whole, std::uint8_t* codes, float* scale, cudaStream_t stream) {
  whole_scale_kernel<<<1, 1, 0, stream>>>(whole, scale);
  check_launch("start a kernel that finds a scale");
  launch_flat(inputs.x, codes, inputs.rows * inputs.columns, EncodeWithStored{scale}, stream);
}

void launch_fp8_rows(const Inputs& inputs, std::uint8_t* codes, float* scales, std::uint32_t* unused, cudaStream_t stream) {
  launch_groups<Fp8Row, Bf16>(inputs.x, rows_of(inputs), codes, scales, unused, stream);
}

void launch_int8_rows(const Inputs& inputs, std::uint32_t rotation_group, bool four_bits, float* rotated, std::uint8_t* codes,
                      float* scales, std::uint32_t* unused, cudaStream_t stream) {
  if (four_bits) return quantize_rows<ops::Int4RowBytes>(inputs, rotation_group, rotated, codes, scales, unused, stream);
  quantize_rows<Int8Row>(inputs, rotation_group, rotated, codes, scales, unused, stream);
}

void launch_product_factor(const WholeScale& whole, const float* others, float* factor, cudaStream_t stream) {
  product_factor_kernel<<<1, 1, 0, stream>>>(whole, others, factor);
  check_launch("start a kernel that multiplies scales");
}

bool scales_products(ops::ActivationKind kind) {
  switch (kind) {
    case ops::ActivationKind::plain: return false;
#define HALFTONE_ACTIVATIONS(name, maths, text) \
  case ops::ActivationKind::name:               \
    return maths::kGrid == ScaleGrid::tensor;
#include "ops/activations.def"
#undef HALFTONE_ACTIVATIONS
  }
  return false;  // not reached: every kind is named above
}

bool has_whole_scale(ops::ActivationKind kind) {
  switch (kind) {
    case ops::ActivationKind::plain: return false;
#define HALFTONE_ACTIVATIONS(name, maths, text) \
  case ops::ActivationKind::name:               \
    return formats::TwoLevel<maths> || maths::kGrid == ScaleGrid::tensor;
#include "ops/activations.def"
#undef HALFTONE_ACTIVATIONS
  }
  return false;  // not reached: every kind is named above
}

void launch_rounded(ops::ActivationKind kind, const Inputs& inputs, const float* rotated, std::uint32_t run, const WholeScale& whole,
                    std::uint16_t* out, cudaStream_t stream) {
  if (inputs.rows == 0 || inputs.columns == 0) return;
  switch (kind) {
    case ops::ActivationKind::plain: return;
#define HALFTONE_ACTIVATIONS(name, maths, text)                                                      \
  case ops::ActivationKind::name:                                                                    \
    if (rotated != nullptr) return round_with<maths, F32>(rotated, inputs, run, whole, out, stream); \
    return round_with<maths, Bf16>(inputs.x, inputs, run, whole, out, stream);
#include "ops/activations.def"
#undef HALFTONE_ACTIVATIONS
  }
}

}  // namespace halftone::cuda
