#include <algorithm>

#include <halftone/format.hpp>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/all_formats.hpp"

namespace halftone {
namespace {}  // namespace

const std::vector<const FormatDescriptor*>& all_formats() {
  static const std::vector<const FormatDescriptor*> formats = {
#define HALFTONE_FORMAT(folder) &formats::folder::descriptor(),
#include "formats/formats.def"
#undef HALFTONE_FORMAT
  };
  return formats;
}

const FormatDescriptor* find_format(std::string_view name) noexcept {
  const auto& formats = all_formats();
  const auto found = std::find_if(formats.begin(), formats.end(), [&](const auto* format) { return format->name() == name; });
  return found == formats.end() ? nullptr : *found;
}

const FormatDescriptor& format_named(std::string_view name) {
  if (const FormatDescriptor* format = find_format(name)) return *format;
  std::vector<std::string> names;
  for (const auto* format : all_formats()) names.emplace_back(format->name());
  fail(ErrorKind::usage, "there is no format '{}'{}; 'halftone formats' lists them", name, base::did_you_mean(name, names));
}

std::size_t FormatDescriptor::index() const noexcept {
  const auto& formats = all_formats();
  return static_cast<std::size_t>(std::find(formats.begin(), formats.end(), this) - formats.begin());
}

}  // namespace halftone
