#pragma once

// How groups are cut for sums of squared errors.  They are added in the one order that KernelTable::squared_error states:
// up to 512 elements of a row of a group, a piece, in 16 lanes and then by halves, both in binary32; then piece by piece in
// binary64.  So 16 threads, a team, have a piece, each a lane of it, and teams side by side have pieces one behind another.

#include <cstdint>

#include "kernels/groups.cuh"

namespace halftone::cuda {

constexpr unsigned kSearchThreads = 256;
constexpr unsigned kTeamThreads = 16;
constexpr unsigned kTeams = kSearchThreads / kTeamThreads;
constexpr unsigned kPieceElements = 512;

/// How the teams of a block share its groups.
struct Search {
  unsigned teams = 1;          ///< of each group, a power of two
  unsigned pieces_across = 1;  ///< of a row of a group
  unsigned pieces = 1;         ///< of a group

  static Search of(const Groups& groups) {
    Search search;
    search.pieces_across = static_cast<unsigned>((groups.width + kPieceElements - 1) / kPieceElements);
    search.pieces = search.pieces_across * groups.height;
    while (search.teams < kTeams && search.teams < search.pieces) search.teams *= 2;
    return search;
  }
};

/// The part of a group that lies inside the weight.
struct GroupPart {
  std::uint64_t first;  ///< place of its first element in the weight
  unsigned high;        ///< rows
  std::uint64_t wide;   ///< columns

  static __device__ GroupPart of(const Groups& groups, unsigned group) {
    if (group >= groups.count) return {0, 0, 0};
    const std::uint64_t top = static_cast<std::uint64_t>(group / groups.across) * groups.height;
    const std::uint64_t left = group % groups.across * groups.width;
    return {top * groups.columns + left, static_cast<unsigned>(min(static_cast<std::uint64_t>(groups.height), groups.rows - top)),
            min(groups.width, groups.columns - left)};
  }
};

/// A piece of a group: where it begins, and its elements; none behind the last piece.
struct Piece {
  std::uint64_t first;
  unsigned n;

  static __device__ Piece of(const Groups& groups, const Search& search, const GroupPart& part, unsigned piece) {
    const unsigned row = piece / search.pieces_across;
    const std::uint64_t column = static_cast<std::uint64_t>(piece % search.pieces_across) * kPieceElements;
    if (row >= part.high || column >= part.wide) return {0, 0};
    return {part.first + row * groups.columns + column,
            static_cast<unsigned>(min(part.wide - column, static_cast<std::uint64_t>(kPieceElements)))};
  }
};

/// The sum over the 16 threads of a team by halves; the same in all of them.
[[nodiscard]] __device__ inline float sum_over_team(float value) {
#pragma unroll
  for (unsigned half = kTeamThreads / 2; half > 0; half /= 2) value += __shfl_xor_sync(0xFFFF'FFFFU, value, half);
  return value;
}

}  // namespace halftone::cuda
