#pragma once

// The squared errors of rows of a whole weight, for several candidates of its scale (Backend::add_squared_errors): teams of
// threads have pieces of a row (pieces.cuh), and one thread for each candidate adds what they find.

#include <algorithm>
#include <span>

#include <halftone/codec/hd.hpp>

#include "formats/format_traits.hpp"
#include "kernels/pieces.cuh"
#include "kernels/sources.cuh"
#include "runtime/check.hpp"
#include "runtime/device_facts.hpp"

namespace halftone::cuda {

/// What is known of a sum of row errors, in units of 2^-60: 128 bits in two words.
class ErrorTotal {
 public:
  /// Adds an error of a row.
  __device__ void add(double error) {
    const double units = error * 0x1p60;  // exact, as are the steps below: they only part its bits
    const auto high = static_cast<std::uint64_t>(units * 0x1p-64);
    add(static_cast<std::uint64_t>(units - static_cast<double>(high) * 0x1p64), high);
  }
  /// Adds it all to `sum`, its low word first, to which other threads add too.
  __device__ void add_to(unsigned long long* sum) const {
    const unsigned long long before = atomicAdd(sum, static_cast<unsigned long long>(low_));
    atomicAdd(sum + 1, static_cast<unsigned long long>(high_ + (before + low_ < before ? 1U : 0U)));
  }

 private:
  __device__ void add(std::uint64_t low, std::uint64_t high) {
    low_ += low;
    high_ += high + (low_ < low ? 1U : 0U);
  }

  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
};

/// The values of weights, rounded with one scale for all of them, for each candidate of it.
template <class Format>
struct RoundedValues {
  static constexpr int kCandidates = formats::kTensorCandidatesOf<Format>;
  struct Operands {
    float encode;
    float decode;
  };
  struct Shared {
    Operands operands[kCandidates];
  };
  float amaxes[kCandidates];

  __device__ void begin(Shared& shared) const {
    if (threadIdx.x >= kCandidates) return;
    const auto scale = Format::scale_from_amax(amaxes[threadIdx.x]);
    shared.operands[threadIdx.x] = {scale.encode, scale.stored};
  }
  /// What the error of a weight is the square of.
  __device__ float difference(const Shared& shared, int candidate, float weight, std::uint64_t /*place*/) const {
    const Operands operands = shared.operands[candidate];
    const float magnitude = codec::magnitude(weight);
    return Format::nearest(magnitude, operands.encode, operands.decode) - magnitude;
  }
};

/// Values that lie in memory, of one candidate.
struct GivenValues {
  static constexpr int kCandidates = 1;
  struct Shared {};
  const float* values;

  __device__ void begin(Shared&) const {}
  __device__ float difference(const Shared&, int, float weight, std::uint64_t place) const { return values[place] - weight; }
};

/// Adds the errors of candidate i to the two words at sums + 2 i.
template <class Source, class Values>
__global__ void __launch_bounds__(kSearchThreads) row_errors_kernel(const typename Source::Raw* __restrict__ in, Groups rows, Search search,
                                                                    Values values, float unit, unsigned long long* __restrict__ sums) {
  constexpr int count = Values::kCandidates;
  constexpr int each = kPieceElements / kTeamThreads;
  static_assert(count <= static_cast<int>(kSearchThreads));
  __shared__ typename Values::Shared shared;
  __shared__ float of_pieces[count][kTeams];
  values.begin(shared);
  __syncthreads();

  const unsigned team = threadIdx.x / kTeamThreads;
  const unsigned lane = threadIdx.x % kTeamThreads;
  const unsigned rows_at_once = kTeams / search.teams;
  ErrorTotal total;
  for (unsigned first_row = blockIdx.x * rows_at_once; first_row < rows.count; first_row += gridDim.x * rows_at_once) {
    const GroupPart part = GroupPart::of(rows, first_row + team / search.teams);
    double error = 0.0;  // of a row that takes all teams
    for (unsigned first = 0; first < search.pieces; first += search.teams) {
      const Piece piece = Piece::of(rows, search, part, first + team % search.teams);
      float weights[each];
#pragma unroll
      for (int i = 0; i < each; ++i) {
        const unsigned at = lane + i * kTeamThreads;
        weights[i] = at < piece.n ? Source::decode(in[piece.first + at]) : 0.0F;
      }
#pragma unroll 1
      for (int c = 0; c < count; ++c) {
        float sum = 0.0F;
#pragma unroll
        for (int i = 0; i < each; ++i) {
          const unsigned at = lane + i * kTeamThreads;
          if (at >= piece.n) continue;
          const float difference = values.difference(shared, c, weights[i], piece.first + at) * unit;
          sum += difference * difference;
        }
        sum = sum_over_team(sum);
        if (lane == 0) of_pieces[c][team] = sum;
      }
      __syncthreads();
      if (threadIdx.x < count) {
        for (unsigned t = 0; t < kTeams; ++t) {
          error += static_cast<double>(of_pieces[threadIdx.x][t]);
          // Teams without a piece have found 0.
          const bool ends = (t + 1) % search.teams == 0 && first + search.teams >= search.pieces;
          if (ends) total.add(error);
          if (ends) error = 0.0;
        }
      }
      __syncthreads();
    }
  }
  if (threadIdx.x < count) total.add_to(sums + 2 * threadIdx.x);
}

template <class Source, class Values>
void launch_row_errors(const typename Source::Raw* in, std::uint64_t rows, std::uint64_t columns, const Values& values, float unit,
                       unsigned long long* sums, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const Groups groups = Groups::of(rows, columns, 1, columns);
  const Search search = Search::of(groups);
  const std::uint64_t at_once = kTeams / search.teams;
  // A few for each multiprocessor: a block has its sums of many rows before it adds them to those of others.
  const std::uint64_t blocks = std::min<std::uint64_t>((rows + at_once - 1) / at_once, std::uint64_t{multiprocessors()} * 8);
  row_errors_kernel<Source, Values><<<static_cast<unsigned>(blocks), kSearchThreads, 0, stream>>>(in, groups, search, values, unit, sums);
  check_launch("start a kernel that adds squared errors");
}

}  // namespace halftone::cuda
