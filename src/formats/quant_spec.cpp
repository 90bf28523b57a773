#include "formats/quant_spec.hpp"

#include <algorithm>
#include <vector>

#include "base/fail.hpp"
#include "base/text.hpp"

namespace halftone::formats {
namespace {

/// `value`, or the first of `allowed` where it is 0, in a message called `what`.
std::uint32_t completed(std::uint32_t value, const std::vector<std::uint32_t>& allowed, const FormatDescriptor& format,
                        const std::string& origin, const char* what) {
  if (allowed.empty()) {
    if (value == 0) return 0;
    fail(ErrorKind::usage, "{}: a {} has no effect on {}", origin, what, format.name());
  }
  if (value == 0) return allowed.front();
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  std::vector<std::string> words;
  for (const std::uint32_t size : allowed) words.push_back(std::to_string(size));
  fail(ErrorKind::usage, "{}: {} takes a {} of {}, not {}", origin, format.name(), what, base::joined_by_or(words), value);
}

}  // namespace

QuantSpec complete_spec(QuantSpec spec, const SpecOrigin& origin) {
  const FormatFacts& facts = spec.format->facts();
  spec.block_size = completed(spec.block_size, facts.block_sizes, *spec.format, origin.block_size, "block size");
  spec.rotation_group = completed(spec.rotation_group, facts.rotation_groups, *spec.format, origin.rotation_group, "rotation group");
  spec.group_size = completed(spec.group_size, facts.group_sizes, *spec.format, origin.group_size, "group size");
  return spec;
}

QuantSpec plain_form(QuantSpec spec) {
  const FormatDescriptor& plain = format_named(spec.format->facts().plain);
  spec.format = &plain;
  spec.block_size = 0;
  spec.rotation_group = 0;
  spec.group_size = 0;
  spec.input_scale = spec.input_scale && plain.facts().takes_input_scale;
  if (!can_search_scales(plain)) spec.scales = ScaleMethod::absmax;
  return spec;
}

bool same_way(const QuantSpec& a, const QuantSpec& b) {
  return a.format == b.format && a.block_size == b.block_size && a.rotation_group == b.rotation_group && a.group_size == b.group_size &&
         a.double_quant == b.double_quant;
}

}  // namespace halftone::formats
