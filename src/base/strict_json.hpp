#pragma once

#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <halftone/error.hpp>

namespace halftone::base {

/// Levels of nesting that a JSON document may have: what walks a document recurses.
constexpr int kMaxJsonDepth = 64;

/// Parses `text` as one JSON document and throws an Error of `kind`, whose sentence begins with
/// `origin`, at what a JSON library lets pass: a key that stands twice in one object (the last would
/// win), a NUL (taken for the end), nesting deeper than kMaxJsonDepth, numbers beyond 64-bit floats.
/// `Json` is nlohmann::json or nlohmann::ordered_json.
template <class Json>
[[nodiscard]] Json parse_json(std::string_view text, ErrorKind kind, std::string_view origin);

extern template nlohmann::json parse_json(std::string_view, ErrorKind, std::string_view);
extern template nlohmann::ordered_json parse_json(std::string_view, ErrorKind, std::string_view);

}  // namespace halftone::base
