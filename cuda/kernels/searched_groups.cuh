#pragma once

// Quantization of groups (groups.cuh) with the scale of least squared error.
//
// Errors are added piece by piece (pieces.cuh).

#include <type_traits>

#include <halftone/codec/hd.hpp>

#include "formats/scale_search.hpp"

#include "kernels/access.cuh"
#include "kernels/coders.cuh"
#include "kernels/codes.cuh"
#include "kernels/groups.cuh"
#include "kernels/pieces.cuh"
#include "kernels/reduce.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {

/// What the groups of a block know of their candidates.
template <class Format>
struct Candidates {
  static constexpr int kCount = formats::kCandidatesOf<Format>;
  struct Operands {
    float encode;
    float decode;
  };
  std::uint32_t largest[kTeams];  ///< of each group, the bits
  Operands operands[kTeams][kCount];
  double errors[kTeams][kCount];
  float of_pieces[kCount][kTeams];   ///< of each team
  unsigned long long tried[kTeams];  ///< candidates that each group may still take, a bit for each
  static_assert(kCount <= 64);
};

/// Raises the maximum of the group of each thread, over all its pieces.
template <class Source>
__device__ void find_largest(const typename Source::Raw* __restrict__ in, const Groups& groups, const Search& search, const GroupPart& part,
                             unsigned team_of_group, std::uint32_t* largest) {
  std::uint32_t found = 0;
  for (unsigned p = team_of_group; p < search.pieces; p += search.teams) {
    const Piece piece = Piece::of(groups, search, part, p);
    for (unsigned i = threadIdx.x % kTeamThreads; i < piece.n; i += kTeamThreads) {
      found = max(found, codec::bits(Source::decode(in[piece.first + i])) & codec::kMagnitudeMask);
    }
  }
  atomicMax(largest, found);
}

/// What the error of a weight is the square of.  The weight may be larger than what the scale is made for.
template <class Format>
[[nodiscard]] __device__ float difference_of(const Encoder<Format>& encode, const Decoder<Format>& decode, float weight,
                                             const typename Candidates<Format>::Operands& operands) {
  if constexpr (requires { Format::nearest(1.0F, 1.0F, 1.0F); }) {
    const float magnitude = codec::magnitude(weight);
    return Format::nearest(magnitude, operands.encode, operands.decode) - magnitude;
  } else {
    const auto code = static_cast<std::uint8_t>(encode.any(weight, operands.encode));
    if constexpr (Decoder<Format>::kFiniteLevels) {
      return decode.level(code) * operands.decode - weight;
    } else {
      return decode(code, operands.decode) - weight;
    }
  }
}

/// The squared errors of a piece with each candidate of a set, `Each` elements to a thread at most; the first of the team's
/// threads stores them.
template <class Format, class Source, int Each>
__device__ void piece_errors(const typename Source::Raw* __restrict__ in, const Piece& piece, const Encoder<Format>& encode,
                             const Decoder<Format>& decode, std::uint64_t set, const typename Candidates<Format>::Operands* operands,
                             float* of_pieces) {
  const unsigned lane = threadIdx.x % kTeamThreads;
  float weights[Each];
#pragma unroll
  for (int i = 0; i < Each; ++i) {
    const unsigned at = lane + i * kTeamThreads;
    weights[i] = at < piece.n ? Source::decode(in[piece.first + at]) : 0.0F;
  }
#pragma unroll 1
  for (; set != 0; set &= set - 1) {
    const int c = __ffsll(static_cast<long long>(set)) - 1;
    const auto operand = operands[c];
    float sum = 0.0F;
#pragma unroll
    for (int i = 0; i < Each; ++i) {
      const float difference = difference_of(encode, decode, weights[i], operand);
      // Behind the end of the piece there are zeros, which add nothing: each scale gives zero for zero.
      sum += difference * difference;
    }
    sum = sum_over_team(sum);
    if (lane == 0) of_pieces[c * kTeams] = sum;
  }
}

/// The place of a thread among the groups of its block.
struct GroupMember {
  unsigned place;          ///< of the group in the block
  unsigned team_of_group;  ///< of the thread
  unsigned member;         ///< the thread's place among those of its group
  unsigned members;

  static __device__ GroupMember of(const Search& search) {
    const unsigned team = threadIdx.x / kTeamThreads;
    const unsigned members = search.teams * kTeamThreads;
    return {team / search.teams, team % search.teams, threadIdx.x % members, members};
  }
};

/// Adds up the errors of the groups of a block with each candidate of a set, the same in all threads of a group and of a
/// warp.
template <class Format, class Source, int Each>
__device__ void group_errors(const typename Source::Raw* __restrict__ in, const Groups& groups, const Search& search, const GroupPart& part,
                             const GroupMember& thread, const Encoder<Format>& encode, const Decoder<Format>& decode, std::uint64_t set,
                             Candidates<Format>& shared) {
  for (unsigned first = 0; first < search.pieces; first += search.teams) {
    const Piece piece = Piece::of(groups, search, part, first + thread.team_of_group);
    piece_errors<Format, Source, Each>(in, piece, encode, decode, set, shared.operands[thread.place],
                                       &shared.of_pieces[0][threadIdx.x / kTeamThreads]);
    __syncthreads();
    const unsigned pieces = min(search.teams, search.pieces - first);
    for (int c = static_cast<int>(thread.member); c < Candidates<Format>::kCount; c += static_cast<int>(thread.members)) {
      if ((set >> c & 1) == 0) continue;
      double sum = shared.errors[thread.place][c];
      for (unsigned t = 0; t < pieces; ++t) sum += static_cast<double>(shared.of_pieces[c][thread.place * search.teams + t]);
      shared.errors[thread.place][c] = sum;
    }
    __syncthreads();
  }
}

/// The candidates beside the plain one that the group of a thread may still take: with the others the error of its largest
/// weight alone is no less than the whole error of the plain scale, and a sum of squares is not less than any of them.
template <class Format>
__device__ std::uint64_t worth_trying(const GroupMember& thread, const Encoder<Format>& encode, const Decoder<Format>& decode,
                                      Candidates<Format>& shared) {
  const float amax = codec::from_bits(shared.largest[thread.place]);
  for (int c = static_cast<int>(thread.member); c < Candidates<Format>::kCount; c += static_cast<int>(thread.members)) {
    const auto operands = shared.operands[thread.place][c];
    const float positive = difference_of(encode, decode, amax, operands);
    const float negative = difference_of(encode, decode, -amax, operands);
    const float least = fminf(positive * positive, negative * negative);
    if (c != 0 && static_cast<double>(least) < shared.errors[thread.place][0]) atomicOr(&shared.tried[thread.place], 1ULL << c);
  }
  __syncthreads();
  return shared.tried[thread.place];
}

template <class Format, class Source, int Each>
__global__ void __launch_bounds__(kSearchThreads)
    searched_groups_kernel(const typename Source::Raw* __restrict__ in, Groups groups, Search search, std::uint8_t* __restrict__ codes,
                           float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  constexpr int count = Candidates<Format>::kCount;
  constexpr int width = kFewestCodes<Format>;
  __shared__ typename Encoder<Format>::Shared encoder_shared;
  __shared__ typename Decoder<Format>::Shared decoder_shared;
  __shared__ Candidates<Format> shared;
  const Encoder<Format> encode(encoder_shared);
  const Decoder<Format> decode(decoder_shared);

  const GroupMember thread = GroupMember::of(search);
  const unsigned group = blockIdx.x * (kTeams / search.teams) + thread.place;
  const GroupPart part = GroupPart::of(groups, group);

  if (threadIdx.x < kTeams) shared.largest[threadIdx.x] = 0;
  if (threadIdx.x < kTeams) shared.tried[threadIdx.x] = 0;
  __syncthreads();
  find_largest<Source>(in, groups, search, part, thread.team_of_group, &shared.largest[thread.place]);
  __syncthreads();
  const float amax = codec::from_bits(shared.largest[thread.place]);
  for (int c = static_cast<int>(thread.member); c < count; c += static_cast<int>(thread.members)) {
    const auto scale = formats::candidate_scale<Format>(amax, 1.0F, c);
    shared.operands[thread.place][c] = {scale.encode, formats::decode_operand<Format>(scale.stored, 1.0F)};
    shared.errors[thread.place][c] = 0.0;
  }
  __syncthreads();
  std::uint64_t set = (2ULL << (count - 1)) - 1;
  if constexpr (std::is_base_of_v<formats::ClippingSearch, Format>) {
    group_errors<Format, Source, Each>(in, groups, search, part, thread, encode, decode, 1, shared);
    set = worth_trying(thread, encode, decode, shared);
  }
  // A warp tries what either of its groups may take.
  const std::uint64_t of_warp = set | __shfl_xor_sync(0xFFFF'FFFFU, set, kTeamThreads);
  group_errors<Format, Source, Each>(in, groups, search, part, thread, encode, decode, of_warp, shared);
  if (group >= groups.count) return;

  int best = 0;
  for (int c = 1; c < count; ++c) {
    if ((set >> c & 1) != 0 && shared.errors[thread.place][c] < shared.errors[thread.place][best]) best = c;
  }
  if (thread.member == 0) {
    scales[group] = formats::candidate_scale<Format>(amax, 1.0F, best).stored;
    SharedMax(largest).raise(codec::bits(amax));
  }
  const float operand = shared.operands[thread.place][best].encode;
  for (unsigned p = thread.team_of_group; p < search.pieces; p += search.teams) {
    const Piece piece = Piece::of(groups, search, part, p);
    for (unsigned i = threadIdx.x % kTeamThreads * width; i < piece.n; i += kTeamThreads * width) {
      std::uint32_t made[width];
#pragma unroll
      for (int k = 0; k < width; ++k) made[k] = encode.any(Source::decode(in[piece.first + i + k]), operand);
      store_chunk(codes + code_bytes<Format>(piece.first + i), packed<Format, width>(made));
    }
  }
}

template <class Format, class Source, int Each>
void launch_searched_groups_of(const typename Source::Raw* in, const Groups& groups, std::uint8_t* codes, float* scales,
                               std::uint32_t* largest, cudaStream_t stream) {
  const Search search = Search::of(groups);
  const std::uint64_t per_block = kTeams / search.teams;
  const auto blocks = static_cast<unsigned>((std::uint64_t{groups.count} + per_block - 1) / per_block);
  searched_groups_kernel<Format, Source, Each><<<blocks, kSearchThreads, 0, stream>>>(in, groups, search, codes, scales, largest);
  check_launch("start a searching quantization kernel");
}

/// Like launch_groups().  Where two codes share a byte, rows have an even number of elements.
template <class Format, class Source>
void launch_searched_groups(const typename Source::Raw* in, const Groups& groups, std::uint8_t* codes, float* scales,
                            std::uint32_t* largest, cudaStream_t stream) {
  if (groups.rows == 0 || groups.columns == 0) return;
  // Short groups: kernels without room for elements that are not there.
  if (groups.width <= 4 * kTeamThreads) return launch_searched_groups_of<Format, Source, 4>(in, groups, codes, scales, largest, stream);
  if (groups.width <= 8 * kTeamThreads) return launch_searched_groups_of<Format, Source, 8>(in, groups, codes, scales, largest, stream);
  launch_searched_groups_of<Format, Source, kPieceElements / kTeamThreads>(in, groups, codes, scales, largest, stream);
}

}  // namespace halftone::cuda
