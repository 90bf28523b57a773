#include "formats/format_ops.hpp"

#include "formats/all_formats.hpp"

namespace halftone {
namespace formats {
namespace {

template <class Format>
Scale apply_rule(float amax) {
  return Format::scale_from_amax(amax);
}

constexpr std::array kRules = {
#define HALFTONE_FORMAT(folder) static_cast<ScaleRule>(apply_rule<folder::Format>),
#include "formats/formats.def"
#undef HALFTONE_FORMAT
};

}  // namespace

ScaleRule scale_rule(const FormatDescriptor& format) noexcept { return kRules[format.index()]; }

}  // namespace formats

float stored_scale(const FormatDescriptor& format, float amax) { return formats::scale_rule(format)(amax).stored; }

}  // namespace halftone
