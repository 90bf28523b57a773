#pragma once

#include <string>

#include <halftone/format.hpp>

namespace halftone::formats {

/// Where the options of a spec come from, for messages: "--block-size", "rules.json rule 3".
struct SpecOrigin {
  std::string block_size;
  std::string rotation_group;
  std::string group_size;
};

/// `spec` with its format's defaults for a block size, a rotation group and a group size of 0; those stay 0 for
/// formats without them.  Throws usage, naming the origin, where the format does not take a value.
[[nodiscard]] QuantSpec complete_spec(QuantSpec spec, const SpecOrigin& origin);

/// `spec` with the plain form of its format, which must have one (FormatFacts::plain).
[[nodiscard]] QuantSpec plain_form(QuantSpec spec);

/// Whether two layers have the same format with the same options that decide their codes.
[[nodiscard]] bool same_way(const QuantSpec& a, const QuantSpec& b);

}  // namespace halftone::formats
