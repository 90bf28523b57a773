#pragma once

// What fills random operands, and what products are held to: sampled entries, in binary64.

#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "matmul/operands.hpp"

namespace halftone::cuda {

enum class CodeKind : std::uint8_t { int8, e4m3 };
enum class Scales : std::uint8_t { none, rows, blocks };

__device__ inline std::uint32_t mix(std::uint32_t x) {
  x ^= x >> 16;
  x *= 0x7FEB352DU;
  x ^= x >> 15;
  x *= 0x846CA68BU;
  return x ^ x >> 16;
}

__global__ void fill_codes(std::uint8_t* codes, std::uint64_t n, CodeKind kind, std::uint32_t seed) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const std::uint32_t random = mix(static_cast<std::uint32_t>(i) ^ mix(seed));
    std::uint8_t code = static_cast<std::uint8_t>(random);
    if (kind == CodeKind::e4m3 && (code & 0x7F) == 0x7F) code = 0;  // NaN
    codes[i] = code;
  }
}

/// Codes of a bell-like distribution that uses the whole range, as those of weights and inputs are.
__global__ void fill_bell(std::uint8_t* codes, std::uint64_t n, CodeKind kind, std::uint32_t seed) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    float sum = 0;
    std::uint32_t random = mix(static_cast<std::uint32_t>(i) ^ mix(seed));
    for (int term = 0; term < 8; ++term) {
      sum += static_cast<float>(random >> 8) * 0x1p-24F - 0.5F;
      random = mix(random + 0x9E3779B9U);
    }
    const float value = fmaxf(-1.0F, fminf(sum * 0.3F, 1.0F));
    codes[i] = kind == CodeKind::int8 ? static_cast<std::uint8_t>(static_cast<std::int8_t>(rintf(value * 127.0F)))
                                      : static_cast<std::uint8_t>(__nv_fp8_e4m3(value * 448.0F).__x);
  }
}

__global__ void fill_activations(std::uint16_t* values, std::uint64_t n) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const std::uint32_t random = mix(static_cast<std::uint32_t>(i));
    // Of magnitudes around 1.
    values[i] = static_cast<std::uint16_t>((random & 0x8000U) | (0x3F00U + (random & 0xFFU)));
  }
}

__global__ void fill_floats(float* values, std::uint64_t n, std::uint32_t seed) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    values[i] = (1.0F + static_cast<float>(mix(static_cast<std::uint32_t>(i) ^ mix(seed)) >> 8) * 0x1p-24F) * 0.01F;
  }
}

__device__ inline double value_of(std::uint8_t code, CodeKind kind) {
  if (kind == CodeKind::int8) return static_cast<std::int8_t>(code);
  __nv_fp8_e4m3 value;
  value.__x = code;
  return static_cast<double>(static_cast<float>(value));
}

/// What an entry of y should be, and the sum of the magnitudes of its terms.
struct Entry {
  std::uint32_t row;
  std::uint32_t column;
  double value;
  double magnitude;
  std::uint16_t found;
};

struct Operands {
  MatmulShape shape;
  CodeKind kind;
  const std::uint8_t* x;
  const std::uint8_t* w;
  const float* x_scales;
  const float* w_scales;
  const float* bias;
  const std::uint16_t* y;
};

__global__ void compute_entries(Operands o, Scales scales, Entry* entries) {
  Entry& entry = entries[blockIdx.x];
  double sum = 0;
  double magnitude = 0;
  const std::uint64_t n_runs = (o.shape.k + 127) / 128;
  for (std::uint64_t k = threadIdx.x; k < o.shape.k; k += 32) {
    double term = value_of(o.x[entry.row * o.shape.k + k], o.kind) * value_of(o.w[entry.column * o.shape.k + k], o.kind);
    if (scales == Scales::rows) {
      term *= static_cast<double>(o.x_scales[entry.row]) * static_cast<double>(o.w_scales[entry.column]);
    } else {
      term *= static_cast<double>(o.x_scales[k / 128 * o.shape.m + entry.row]) *
              static_cast<double>(o.w_scales[entry.column / 128 * n_runs + k / 128]);
    }
    sum += term;
    magnitude += fabs(term);
  }
  for (int lane = 16; lane > 0; lane /= 2) {
    sum += __shfl_xor_sync(~0U, sum, lane);
    magnitude += __shfl_xor_sync(~0U, magnitude, lane);
  }
  if (threadIdx.x != 0) return;
  entry.value = sum + static_cast<double>(o.bias[entry.column]);
  entry.magnitude = magnitude + fabs(static_cast<double>(o.bias[entry.column]));
  entry.found = o.y[entry.row * o.shape.n + entry.column];
}

__global__ void count_differences(const std::uint32_t* a, const std::uint32_t* b, std::uint64_t n, unsigned long long* found) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    if (a[i] != b[i] && atomicAdd(found, 1ULL) == 0) found[1] = i;
  }
}

}  // namespace halftone::cuda
