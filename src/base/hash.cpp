#include "base/hash.hpp"

#include <new>

#include <fmt/format.h>
#include <xxhash.h>

namespace halftone::base {

std::string digest(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

StreamDigest::StreamDigest() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_64bits_reset(state_);
}

StreamDigest::~StreamDigest() { XXH3_freeState(state_); }

void StreamDigest::add(std::span<const std::byte> bytes) noexcept { XXH3_64bits_update(state_, bytes.data(), bytes.size()); }

std::uint64_t StreamDigest::value() const noexcept { return XXH3_64bits_digest(state_); }

}  // namespace halftone::base
