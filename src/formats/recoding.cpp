#include "formats/recoding.hpp"

#include <cmath>

#include "base/fail.hpp"
#include "formats/codebook_format.hpp"

namespace halftone::formats {
namespace {

const CodebookFormat* as_codebook(const FormatDescriptor& format) { return dynamic_cast<const CodebookFormat*>(&format); }

/// The code of `to` for a code of `from`: the nearest level in the same half of the table.  The halves of FP4 are its
/// signs, so that -0 stays apart from 0; NF4 has one table.
std::uint32_t code_for(const CodebookLayout& from, const CodebookLayout& to, std::uint32_t code) {
  const std::uint32_t half = code & 8U;
  std::uint32_t best = half;
  for (std::uint32_t other = half; other < half + 8; ++other) {
    if (std::fabs(to.level(other) - from.level(code)) < std::fabs(to.level(best) - from.level(code))) best = other;
  }
  return best;
}

/// The byte of two codes.
std::byte packed(const CodebookLayout& layout, std::uint32_t first, std::uint32_t second) {
  return static_cast<std::byte>(layout.bitsandbytes ? first << 4 | second : second << 4 | first);
}

std::uint32_t code_of_zero(const CodebookLayout& layout) {
  std::uint32_t code = 0;
  while (layout.level(code) != 0.0F) ++code;
  return code;
}

}  // namespace

const FormatDescriptor* in_layout(const FormatDescriptor& format, bool bitsandbytes) {
  const CodebookFormat* codebook = as_codebook(format);
  if (codebook == nullptr) return nullptr;
  for (const FormatDescriptor* other : all_formats()) {
    const CodebookFormat* twin = as_codebook(*other);
    if (twin != nullptr && twin->layout().type == codebook->layout().type && twin->layout().bitsandbytes == bitsandbytes) return twin;
  }
  return nullptr;
}

Recoding recoding(const FormatDescriptor& from, const FormatDescriptor& to) {
  const CodebookFormat* source = as_codebook(from);
  const CodebookFormat* target = as_codebook(to);
  if (source == nullptr || target == nullptr || source->layout().type != target->layout().type) {
    fail(ErrorKind::internal, "codes of {} are none of {}", from.name(), to.name());
  }
  Recoding recoding{};
  for (std::uint32_t first = 0; first < 16; ++first) {
    for (std::uint32_t second = 0; second < 16; ++second) {
      const auto byte = std::to_integer<std::size_t>(packed(source->layout(), first, second));
      recoding.bytes[byte] = packed(target->layout(), code_for(source->layout(), target->layout(), first),
                                    code_for(source->layout(), target->layout(), second));
    }
  }
  const std::uint32_t zero = code_of_zero(target->layout());
  recoding.filling = packed(target->layout(), zero, zero);
  return recoding;
}

}  // namespace halftone::formats
