// A file's beginning, as parse_file takes it.  Whatever is accepted must keep the layout's promises,
// agree with a generic JSON parser, and survive being written and read again.
#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include <halftone/safetensors.hpp>

#include "base/text.hpp"
#include "fuzz_target.hpp"

namespace halftone::fuzz {
namespace {

using nlohmann::json;

std::span<const std::byte> bytes_of(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

Outcome<Header> parse(std::string_view head, std::uint64_t file_bytes) {
  using enum ErrorKind;
  return attempt(
      {header_too_small, header_too_large, header_beyond_file, header_not_utf8, header_not_json, header_nesting, duplicate_tensor,
       tensor_offsets, size_overflow, misaligned_bits, tensor_size, data_size, git_lfs_pointer, html_page, zip_or_pickle, gguf_file},
      [&] { return parse_file(bytes_of(head), file_bytes); });
}

/// Whether a file of `head_bytes` and then the data of `header` has a size that fits 64 bits.
bool fits(std::uint64_t head_bytes, const Header& header) {
  return header.data_bytes() <= std::numeric_limits<std::uint64_t>::max() - head_bytes;
}

/// Whether a tensor of `shape` has 2^64 bits or more: by division, unlike the library's multiplication.
bool is_oversized(Dtype dtype, const Shape& shape) {
  std::uint64_t room = std::numeric_limits<std::uint64_t>::max() / bits_of(dtype);
  for (const std::uint64_t extent : shape) {
    if (extent == 0) return false;
    room /= extent;
  }
  return room == 0;
}

/// Invariant: the data sections adjoin from 0 on, and each has the size that its shape asks for.
void check_layout(const Header& header) {
  std::uint64_t expected = 0;
  for (const TensorInfo& tensor : header.tensors) {
    require(tensor.begin == expected && tensor.end >= tensor.begin, "tensors do not adjoin");
    require(tensor.bytes() == byte_count(tensor.dtype, tensor.shape), "a tensor has another size than its shape");
    require(!is_oversized(tensor.dtype, tensor.shape), "a tensor of 2^64 bits or more");
    require(base::is_utf8(tensor.name), "a name is not UTF-8");
    expected = tensor.end;
  }
  require(header.data_bytes() == expected, "data_bytes() is not the end of the last tensor");
  require(header.has_metadata || header.metadata.empty(), "metadata out of nothing");
}

/// Invariant: a generic JSON parser finds the same tensors and metadata in the text.
void check_against_document(const Header& header, std::string_view text) {
  require(text.find('\0') == std::string_view::npos, "a NUL is accepted");
  const json document = json::parse(text, nullptr, false);
  require(document.is_object(), "the header is accepted, but is no JSON object");
  require(document.size() == header.tensors.size() + document.count("__metadata__"), "entries are lost or invented");
  for (const TensorInfo& tensor : header.tensors) {
    const json& entry = document.at(tensor.name);
    require(entry.at("dtype") == name_of(tensor.dtype), "a type differs from the text");
    require(entry.at("shape") == json(tensor.shape), "a shape differs from the text");
    require(entry.at("data_offsets") == json({tensor.begin, tensor.end}), "offsets differ from the text");
  }
  if (header.has_metadata) require(document.at("__metadata__") == json(header.metadata), "metadata differs from the text");
}

/// Writes `header` and reads it again.
Header reread(const Header& header, const std::string& written) {
  require(written.size() % 8 == 0, "a written header is not aligned to 8 bytes");
  const auto again = parse(written, written.size() + header.data_bytes()).value;
  require(again.has_value(), "a written header is rejected");
  require(again->tensors == header.tensors && again->metadata == header.metadata && again->has_metadata == header.has_metadata,
          "a written header reads differently");
  require(again->data_start == written.size(), "a written header has another size");
  return *again;
}

void check_round_trip(const Header& header) {
  const std::string written = serialize(header);
  if (!fits(written.size(), header)) return;
  require(serialize(reread(header, written)) == written, "writing twice gives other bytes");
}

/// Invariant: lay_out only reorders, and what it promises about the file is what serialize writes.
void check_fresh_layout(const Header& header) {
  const auto laid_out = attempt({ErrorKind::size_overflow}, [&] { return lay_out(header.tensors, header.metadata, header.has_metadata); });
  if (!laid_out.value) {
    require(!fits(header.data_start + 8, header), "lay_out refuses what was read");  // 8: the padding of the new text
    return;
  }
  const Header& fresh = *laid_out.value;
  check_layout(fresh);
  require(fresh.tensors.size() == header.tensors.size() && fresh.data_bytes() == header.data_bytes(), "lay_out loses bytes");
  const auto before = [](const TensorInfo& a, const TensorInfo& b) { return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name; };
  require(std::is_sorted(fresh.tensors.begin(), fresh.tensors.end(), before), "lay_out does not keep the writer's order");
  const std::string written = serialize(fresh);
  require(written.size() == fresh.data_start, "lay_out and serialize disagree about the header's size");
  require(fits(written.size(), fresh), "lay_out makes a file of more than 2^64 bytes");
  reread(fresh, written);
}

std::uint64_t length_field(std::string_view head) {
  std::uint64_t value = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(head[i]);
  return value;
}

/// The header of `head`, whose data section may be absent, as if the file were sparse.
std::optional<Header> parse_sparse(std::string_view head) {
  auto whole = parse(head, head.size());
  if (whole.value || whole.kind != ErrorKind::data_size) return whole.value;
  const Header header = parse_header(head.substr(kLengthBytes, length_field(head)));
  require(fits(header.data_start, header), "a header tells a file of more than 2^64 bytes");
  auto sparse = parse(head.substr(0, header.data_start), header.file_bytes());
  require(sparse.value.has_value(), "a header is rejected in a file of the size that it tells");
  return sparse.value;
}

/// Whether `head` is accepted.
bool check(std::string_view head) {
  const auto header = parse_sparse(head);
  if (!header) return false;
  check_layout(*header);
  check_against_document(*header, head.substr(kLengthBytes, header->data_start - kLengthBytes));
  check_round_trip(*header);
  check_fresh_layout(*header);
  return true;
}

/// `text` behind a length field that covers all of it.
std::string framed(std::string_view text) {
  std::string out(kLengthBytes, '\0');
  for (std::size_t i = 0; i < kLengthBytes; ++i) out[i] = static_cast<char>((std::uint64_t{text.size()} >> (8 * i)) & 0xFF);
  return out.append(text);
}

}  // namespace
}  // namespace halftone::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  using namespace halftone;
  const std::string_view head = fuzz::text_of(data, n_bytes);
  fuzz::accepted = fuzz::check(head);
  // Mutations of the text rarely mend the length field, so it is mended for them.
  if (n_bytes < kLengthBytes || fuzz::length_field(head) == n_bytes - kLengthBytes) return 0;
  fuzz::check(fuzz::framed(head.substr(kLengthBytes)));
  return 0;
}
