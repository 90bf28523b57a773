#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace halftone::base {

/// XXH3-128 of `bytes` as 32 hexadecimal digits: an identity, not a signature.
[[nodiscard]] std::string digest(std::string_view bytes);

/// XXH3-64 of bytes that come in pieces.
class StreamDigest {
 public:
  StreamDigest();
  ~StreamDigest();
  StreamDigest(const StreamDigest&) = delete;
  StreamDigest& operator=(const StreamDigest&) = delete;

  void add(std::span<const std::byte> bytes) noexcept;
  /// Of all bytes added so far.
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  XXH3_state_s* state_;
};

}  // namespace halftone::base
