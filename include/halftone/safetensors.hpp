#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/tensor.hpp>

namespace halftone {

/// The `__metadata__` entry of a header, sorted by key.
using Metadata = std::map<std::string, std::string>;

/// Largest header that the format allows, in bytes.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

/// Length of the little-endian header size that begins every file, in bytes.
inline constexpr std::uint64_t kLengthBytes = 8;

/// A validated safetensors header.
struct Header {
  std::vector<TensorInfo> tensors;  ///< by offset; the data sections adjoin without gaps
  Metadata metadata;
  bool has_metadata = false;     ///< `__metadata__` was present, perhaps empty
  std::uint64_t data_start = 0;  ///< file offset of the data section, in bytes

  /// Bytes of the data section.
  [[nodiscard]] std::uint64_t data_bytes() const noexcept { return tensors.empty() ? 0 : tensors.back().end; }
  /// Bytes of the whole file.
  [[nodiscard]] std::uint64_t file_bytes() const noexcept { return data_start + data_bytes(); }
};

/// Parses the JSON text of a header (without its length field) and checks everything that the
/// text alone decides: structure, names, types, offsets, sizes.
/// Throws header_not_utf8, header_not_json, header_nesting, duplicate_tensor, tensor_offsets,
/// size_overflow (a tensor, or all with the header, beyond 2^64 bytes), misaligned_bits, tensor_size.
[[nodiscard]] Header parse_header(std::string_view json);

/// Parses the beginning of a file of `file_bytes` bytes.  `head` must hold the whole header,
/// or the whole file where that is shorter.  Recognises files that are something else.
/// Throws what parse_header throws, and header_too_small, header_too_large, header_beyond_file,
/// data_size, git_lfs_pointer, html_page, zip_or_pickle, gguf_file.
[[nodiscard]] Header parse_file(std::span<const std::byte> head, std::uint64_t file_bytes);

/// Assigns offsets to `tensors` in the writer's order (rank of the type descending, then name)
/// and returns the header; begin and end of the arguments are ignored.
/// Throws size_overflow, misaligned_bits, duplicate_tensor.
[[nodiscard]] Header lay_out(std::vector<TensorInfo> tensors, Metadata metadata, bool has_metadata);

/// The bytes that precede the data section: the length field, compact JSON with sorted metadata,
/// and spaces up to a multiple of 8.  Throws header_too_large beyond kMaxHeaderBytes.
[[nodiscard]] std::string serialize(const Header& header);

}  // namespace halftone
