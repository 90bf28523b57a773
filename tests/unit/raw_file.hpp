#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <halftone/safetensors.hpp>

namespace halftone::test {

/// A header length as a file begins with it: 8 bytes, little-endian.
inline std::string length_field(std::uint64_t n) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>((n >> shift) & 0xFF);
  return bytes;
}

/// A whole file made of its length field, `json` and `data`, right or wrong.
inline std::string raw_file(std::string_view json, std::string_view data = {}) {
  return length_field(json.size()) + std::string(json) + std::string(data);
}

/// parse_file() of a file that holds `bytes`.
inline Header parse_bytes(std::string_view bytes) { return parse_file(std::as_bytes(std::span(bytes)), bytes.size()); }

}  // namespace halftone::test
