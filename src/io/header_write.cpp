#include <algorithm>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <halftone/safetensors.hpp>

#include "base/checked.hpp"
#include "base/fail.hpp"

namespace halftone {
namespace {

/// Appends `text` as a JSON string: quotes, backslashes and control characters escaped, all else raw.
void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\f': out += "\\f"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

std::string json_text(const Header& header) {
  std::string out = "{";
  if (header.has_metadata || !header.metadata.empty()) {
    out += "\"__metadata__\":{";
    for (const auto& [key, value] : header.metadata) {
      if (out.back() != '{') out += ',';
      append_string(out, key);
      out += ':';
      append_string(out, value);
    }
    out += '}';
  }
  for (const TensorInfo& tensor : header.tensors) {
    if (out.size() > 1) out += ',';
    append_string(out, tensor.name);
    out += fmt::format(":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", name_of(tensor.dtype), fmt::join(tensor.shape, ","),
                       tensor.begin, tensor.end);
  }
  out += '}';
  out.resize(base::round_up(out.size(), 8), ' ');
  return out;
}

}  // namespace

Header lay_out(std::vector<TensorInfo> tensors, Metadata metadata, bool has_metadata) {
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name; });
  Header header;
  std::uint64_t offset = 0;
  std::unordered_set<std::string_view> names;
  for (TensorInfo& tensor : tensors) {
    if (!names.insert(tensor.name).second) fail(ErrorKind::duplicate_tensor, "the output would hold two tensors '{}'", tensor.name);
    const auto end = base::checked_add(offset, byte_count(tensor.dtype, tensor.shape));
    if (!end) fail(ErrorKind::size_overflow, "the output would exceed 2^64 bytes at the tensor '{}'", tensor.name);
    tensor.begin = offset;
    tensor.end = offset = *end;
  }
  header.tensors = std::move(tensors);
  header.metadata = std::move(metadata);
  header.has_metadata = has_metadata;
  header.data_start = kLengthBytes + json_text(header).size();
  if (!base::checked_add(header.data_start, offset)) {
    fail(ErrorKind::size_overflow, "the header and the tensors together would exceed 2^64 bytes");
  }
  return header;
}

std::string serialize(const Header& header) {
  const std::string json = json_text(header);
  if (json.size() > kMaxHeaderBytes) {
    fail(ErrorKind::header_too_large, "the output's header would take {} bytes, {} allowed", json.size(), kMaxHeaderBytes);
  }
  std::string out(kLengthBytes, '\0');
  for (std::size_t i = 0; i < kLengthBytes; ++i) out[i] = static_cast<char>((json.size() >> (8 * i)) & 0xFF);
  return out + json;
}

}  // namespace halftone
