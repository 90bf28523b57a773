#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace halftone::io {

/// Bytes [begin, end) of a mapping, both on page boundaries.
struct PageRange {
  std::uint64_t begin;
  std::uint64_t end;
};

/// The pages that [offset, offset + length) touches, or those that it covers whole.
[[nodiscard]] inline PageRange pages_of(std::uint64_t offset, std::uint64_t length, bool whole_only) {
  const auto page = static_cast<std::uint64_t>(::getpagesize());
  const std::uint64_t begin = whole_only ? (offset + page - 1) / page * page : offset / page * page;
  const std::uint64_t end = whole_only ? (offset + length) / page * page : (offset + length + page - 1) / page * page;
  return {begin, std::max(begin, end)};
}

}  // namespace halftone::io
