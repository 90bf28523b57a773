#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include <halftone/safetensors.hpp>

#include "base/fail.hpp"

namespace halftone {
namespace {

struct Signature {
  std::string_view bytes;
  ErrorKind kind;
  std::string_view sentence;
};

constexpr std::array kSignatures = {
    Signature{"version https://git-lfs", ErrorKind::git_lfs_pointer,
              "this is a Git LFS pointer of a few lines, not the model; fetch it with 'git lfs pull'"},
    Signature{"PK\x03\x04", ErrorKind::zip_or_pickle, "this is a ZIP file (a PyTorch .pt or .ckpt checkpoint?), not safetensors"},
    Signature{"\x80\x02", ErrorKind::zip_or_pickle, "this is a Python pickle (an old .ckpt checkpoint?), not safetensors"},
    Signature{"\x80\x03", ErrorKind::zip_or_pickle, "this is a Python pickle, not safetensors"},
    Signature{"\x80\x04\x95", ErrorKind::zip_or_pickle, "this is a Python pickle, not safetensors"},
    Signature{"\x80\x05\x95", ErrorKind::zip_or_pickle, "this is a Python pickle, not safetensors"},
    Signature{"GGUF", ErrorKind::gguf_file, "this is a GGUF file, not safetensors"},
};

/// Lower-case copy of the first bytes without leading white space.
std::string opening(std::string_view text) {
  const std::size_t start = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  std::string out(text.substr(start, 32));
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

void reject_other_kinds(std::string_view head) {
  for (const Signature& signature : kSignatures) {
    if (head.substr(0, signature.bytes.size()) == signature.bytes) fail(signature.kind, "{}", signature.sentence);
  }
  const std::string start = opening(head);
  for (const std::string_view tag : {"<!doctype html", "<html", "<?xml", "<head"}) {
    if (start.compare(0, tag.size(), tag) == 0) {
      fail(ErrorKind::html_page,
           "this is an HTML or XML page, not a model; was a download page or a server's error saved instead of the file?");
    }
  }
}

/// Printable ASCII only.
bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

std::uint64_t little_endian_64(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

}  // namespace

Header parse_file(std::span<const std::byte> head, std::uint64_t file_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  // A real header length never looks like one of these texts: each is far beyond the limit,
  // except for pickles, whose second byte would make a header of an odd size without '{'.
  const std::string_view json = text.size() > kLengthBytes ? text.substr(kLengthBytes) : std::string_view();
  const std::size_t start = json.find_first_not_of(" \t\r\n");
  const bool plausible = start != std::string_view::npos && json[start] == '{' && little_endian_64(text) <= kMaxHeaderBytes;
  if (!plausible) reject_other_kinds(text);
  if (file_bytes < kLengthBytes) {
    fail(ErrorKind::header_too_small, "the file is too short for safetensors: it has {} bytes, at least {} expected", file_bytes,
         kLengthBytes);
  }
  const std::uint64_t header_bytes = little_endian_64(text);
  if (header_bytes > kMaxHeaderBytes) {
    if (is_text(text.substr(0, kLengthBytes))) {
      fail(ErrorKind::header_too_large, "this is no safetensors file but a text, beginning with '{}'", text.substr(0, kLengthBytes));
    }
    fail(ErrorKind::header_too_large, "the header length is {} bytes, at most {} allowed", header_bytes, kMaxHeaderBytes);
  }
  if (header_bytes > file_bytes - kLengthBytes || text.size() < kLengthBytes + header_bytes) {
    fail(ErrorKind::header_beyond_file, "the length field and the header take {} bytes, but the file has {}", kLengthBytes + header_bytes,
         file_bytes);
  }
  if (header_bytes == 0) {
    fail(ErrorKind::header_not_json,
         "the header is empty, its length field zero: this is no safetensors file, or one that was never finished");
  }
  Header header = parse_header(text.substr(kLengthBytes, header_bytes));
  if (header.file_bytes() != file_bytes) {
    fail(ErrorKind::data_size, "the file has {} bytes, {} expected from its header: it is {}", file_bytes, header.file_bytes(),
         file_bytes < header.file_bytes() ? "cut short" : "followed by other data");
  }
  return header;
}

}  // namespace halftone
