#include "learn/small_factors.hpp"

#include "learn/row_loops.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

using learn::Matrix;

constexpr unsigned kThreads = 256;
static_assert(kThreads % kSmallRows == 0 && kThreads == kRowThreads);

/// In banks of its own, row by row and column by column.
struct Square {
  float at[kSmallRows][kSmallRows + 1];
};

__device__ void read_lower(const Matrix& a, Square& square) {
  for (unsigned i = threadIdx.x; i < kSmallRows * kSmallRows; i += blockDim.x) {
    const unsigned row = i / kSmallRows;
    const unsigned column = i % kSmallRows;
    square.at[row][column] = row < a.rows && column <= row ? a.data[row * a.stride + column] : 0.0F;
  }
  __syncthreads();
}

__device__ void write(const Square& square, const Matrix& a) {
  const auto n = static_cast<unsigned>(a.rows);
  for (unsigned i = threadIdx.x; i < n * n; i += blockDim.x) a.data[i / n * a.stride + i % n] = square.at[i / n][i % n];
}

/// Step k takes off what column k explains; returns false, to all threads, where there is no factor.  The columns become those
/// of the factor at the end (factor_at), so that a step needs one wait.
__device__ bool reduce(Square& rest, unsigned n) {
  const unsigned row = threadIdx.x % kSmallRows;
  const unsigned share = threadIdx.x / kSmallRows;
  for (unsigned k = 0; k < n; ++k) {
    const float pivot = rest.at[k][k];
    if (!(pivot > 0.0F && pivot < INFINITY)) return false;  // the same for all threads
    const float own = rest.at[row][k] / pivot;
    for (unsigned column = k + 1 + share; column <= row; column += kThreads / kSmallRows) rest.at[row][column] -= own * rest.at[column][k];
    __syncthreads();
  }
  return true;
}

__device__ float factor_at(const Square& rest, unsigned row, unsigned column) {
  const float value = row < column ? 0.0F : rest.at[row][column];
  return value / sqrtf(rest.at[column][column]);
}

__global__ void __launch_bounds__(kThreads) cholesky_kernel(Matrix a, std::uint32_t* failed) {
  __shared__ Square rest;
  read_lower(a, rest);
  const auto n = static_cast<unsigned>(a.rows);
  const bool is_definite = reduce(rest, n);
  if (threadIdx.x == 0) *failed = is_definite ? 0 : 1;
  if (!is_definite) return;
  for (unsigned i = threadIdx.x; i < n * n; i += kThreads) a.data[i / n * a.stride + i % n] = factor_at(rest, i / n, i % n);
}

/// Threads that add up one element of an inverse.
constexpr unsigned kSharers = kThreads / kSmallRows;

/// Each column by itself, from its top to its bottom.
__device__ void invert(const Square& lower, unsigned n, Square& inverse) {
  const unsigned column = threadIdx.x / kSharers;
  const unsigned share = threadIdx.x % kSharers;
  for (unsigned row = share; row < kSmallRows; row += kSharers) inverse.at[row][column] = 0.0F;
  __syncwarp();
  for (unsigned row = 0; row < n; ++row) {
    float sum = share == 0 && row == column ? 1.0F : 0.0F;
    for (unsigned k = column + share; k < row; k += kSharers) sum -= lower.at[row][k] * inverse.at[k][column];
    for (unsigned distance = 1; distance < kSharers; distance *= 2) sum += __shfl_xor_sync(0xFFFF'FFFFU, sum, static_cast<int>(distance));
    if (share == 0 && row >= column) inverse.at[row][column] = sum / lower.at[row][row];
    __syncwarp();
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads) inverse_kernel(Matrix a) {
  __shared__ Square lower;
  __shared__ Square inverse;
  read_lower(a, lower);
  invert(lower, static_cast<unsigned>(a.rows), inverse);
  write(inverse, a);
}

/// Whether some ridge makes `rest`, which becomes that of the factor, definite.
__device__ bool reduce_with_ridge(const Matrix& a, float first_ridge, Square& rest) {
  const auto n = static_cast<unsigned>(a.rows);
  const double trace = block_sum(threadIdx.x < n ? static_cast<double>(a.data[threadIdx.x * a.stride + threadIdx.x]) : 0.0);
  for (float ridge = first_ridge; ridge <= 1.0F; ridge *= 10.0F) {
    read_lower(a, rest);
    if (threadIdx.x < n) rest.at[threadIdx.x][threadIdx.x] += static_cast<float>(ridge * trace / static_cast<double>(a.rows));
    __syncthreads();
    if (reduce(rest, n)) return true;
    __syncthreads();
  }
  return false;
}

__global__ void __launch_bounds__(kThreads) ridged_inverse_kernel(Matrix a, float first_ridge) {
  __shared__ Square rest;
  __shared__ Square lower;
  const auto n = static_cast<unsigned>(a.rows);
  const bool is_definite = reduce_with_ridge(a, first_ridge, rest);
  for (unsigned i = threadIdx.x; i < n * n; i += kThreads) lower.at[i / n][i % n] = is_definite ? factor_at(rest, i / n, i % n) : 0.0F;
  __syncthreads();
  if (!is_definite) return write(lower, a);
  Square& inverse = rest;
  invert(lower, n, inverse);
  write(inverse, a);
}

constexpr unsigned kPairs = kSmallRows / 2;
/// One for each two pairs of rows and columns.
constexpr unsigned kRotationThreads = kPairs * kPairs;
/// Passes over all pairs, at most; six to eight are usual.
constexpr unsigned kMostSweeps = 16;

struct Rotation {
  unsigned low, high;
  float cosine, sine;
};

/// The pair that is `index`-th in round `round` of a tournament of `n` rows, where `n` is even.
__device__ Rotation pair_of(unsigned index, unsigned round, unsigned n) {
  const unsigned others = n - 1;
  const auto within = [&](unsigned place) { return place < others ? place : place - others; };
  const unsigned first = index == 0 ? others : within(round + index);
  const unsigned second = within(round + others - index);
  return {min(first, second), max(first, second), 1.0F, 0.0F};
}

/// Makes the element between the rows of the pair zero, nearly: only that sine and cosine belong together is exact.
__device__ void aim(const Square& a, Rotation& rotation) {
  const float between = a.at[rotation.low][rotation.high];
  if (between == 0.0F) return;
  const float ratio = __fdividef(a.at[rotation.high][rotation.high] - a.at[rotation.low][rotation.low], 2.0F * between);
  const float tangent = copysignf(__fdividef(1.0F, fabsf(ratio) + sqrtf(1.0F + ratio * ratio)), ratio);
  rotation.cosine = 1.0F / sqrtf(1.0F + tangent * tangent);
  rotation.sine = tangent * rotation.cosine;
}

__device__ void turn(const Rotation& rotation, float& low, float& high) {
  const float before = low;
  low = rotation.cosine * before - rotation.sine * high;
  high = rotation.sine * before + rotation.cosine * high;
}

/// What rotations of two pairs make of the four elements where their rows and columns meet.
__device__ void turn_block(const Rotation& rows, const Rotation& columns, Square& a) {
  float& ll = a.at[rows.low][columns.low];
  float& lh = a.at[rows.low][columns.high];
  float& hl = a.at[rows.high][columns.low];
  float& hh = a.at[rows.high][columns.high];
  turn(rows, ll, hl);
  turn(rows, lh, hh);
  turn(columns, ll, lh);
  turn(columns, hl, hh);
}

/// Whether what is off the diagonal is nothing to the rest.  Every thread gets it.
__device__ bool is_diagonal(const Square& a, unsigned n) {
  // Of squares; rounding leaves some n · 2^-48.
  constexpr double negligible = 1e-12;
  __shared__ double all[kRotationThreads];
  __shared__ double off[kRotationThreads];
  double sum = 0;
  double sum_off = 0;
  for (unsigned i = threadIdx.x; i < n * n; i += kRotationThreads) {
    const double value = a.at[i / n][i % n];
    sum += value * value;
    if (i / n != i % n) sum_off += value * value;
  }
  all[threadIdx.x] = sum;
  off[threadIdx.x] = sum_off;
  __syncthreads();
  for (unsigned half = kRotationThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      all[threadIdx.x] += all[threadIdx.x + half];
      off[threadIdx.x] += off[threadIdx.x + half];
    }
    __syncthreads();
  }
  const bool answer = !(off[0] > negligible * all[0]);
  __syncthreads();
  return answer;
}

/// Jacobi's method, with all disjoint pairs of a round at once.
__global__ void __launch_bounds__(kRotationThreads) eigenvectors_kernel(Matrix given) {
  extern __shared__ Square squares[];
  __shared__ Rotation rotations[kPairs];
  Square& a = squares[0];
  Square& vectors = squares[1];  // rows
  const auto rows = static_cast<unsigned>(given.rows);
  const unsigned n = (rows + 1) / 2 * 2;  // the row that is added stays by itself
  read_lower(given, a);
  for (unsigned i = threadIdx.x; i < kSmallRows * kSmallRows; i += kRotationThreads) {
    const unsigned row = i / kSmallRows;
    const unsigned column = i % kSmallRows;
    vectors.at[row][column] = row == column ? 1.0F : 0.0F;
    if (row < column) a.at[row][column] = a.at[column][row];
  }
  __syncthreads();
  const unsigned first = threadIdx.x / kPairs;
  const unsigned second = threadIdx.x % kPairs;
  for (unsigned sweep = 0; sweep < kMostSweeps && !is_diagonal(a, n); ++sweep) {
    for (unsigned round = 0; round + 1 < n; ++round) {
      if (threadIdx.x < n / 2) {
        Rotation rotation = pair_of(threadIdx.x, round, n);
        aim(a, rotation);
        rotations[threadIdx.x] = rotation;
      }
      __syncthreads();
      if (first < n / 2 && second < n / 2) {
        turn_block(rotations[first], rotations[second], a);
        if (first == second) a.at[rotations[first].low][rotations[first].high] = a.at[rotations[first].high][rotations[first].low] = 0.0F;
      }
      if (first < n / 2) {
        const Rotation& rotation = rotations[first];
        for (unsigned i = second; i < n; i += kPairs) turn(rotation, vectors.at[rotation.low][i], vectors.at[rotation.high][i]);
      }
      __syncthreads();
    }
  }
  // Row `row` belongs to the eigenvalue that so many are before.  Hundreds of rotations have made it longer, by rounding, but
  // no more oblique.
  for (unsigned i = threadIdx.x; i < rows * rows; i += kRotationThreads) {
    const unsigned row = i / rows;
    const float value = a.at[row][row];
    unsigned before = 0;
    float squares = 0.0F;
    for (unsigned other = 0; other < rows; ++other) {
      const float theirs = a.at[other][other];
      squares += vectors.at[row][other] * vectors.at[row][other];
      before += theirs < value || (theirs == value && other < row) ? 1U : 0U;
    }
    given.data[before * given.stride + i % rows] = vectors.at[row][i % rows] / sqrtf(squares);
  }
}

}  // namespace

void launch_small_cholesky(const Matrix& a, std::uint32_t* failed, cudaStream_t stream) {
  cholesky_kernel<<<1, kThreads, 0, stream>>>(a, failed);
  check_launch("factor a small matrix");
}

void launch_small_ridged_inverse(const Matrix& a, float first_ridge, cudaStream_t stream) {
  ridged_inverse_kernel<<<1, kThreads, 0, stream>>>(a, first_ridge);
  check_launch("invert a factor of a small matrix");
}

void launch_small_inverse(const Matrix& a, cudaStream_t stream) {
  inverse_kernel<<<1, kThreads, 0, stream>>>(a);
  check_launch("invert a small matrix");
}

void launch_small_eigenvectors(const Matrix& a, cudaStream_t stream) {
  constexpr int bytes = 2 * sizeof(Square);
  check(cudaFuncSetAttribute(eigenvectors_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "find eigenvectors");
  eigenvectors_kernel<<<1, kRotationThreads, bytes, stream>>>(a);
  check_launch("find eigenvectors of a small matrix");
}

}  // namespace halftone::cuda
