#pragma once

#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace halftone::tool {

/// Writes to stdout.  Throws Error io where stdout cannot be written (a full disk behind a redirection).
void write_out(std::string_view text);

/// Writes to stderr.  A stderr that is gone is no reason to lose a conversion: failures are ignored.
void write_error(std::string_view text) noexcept;

/// Writes one line to stderr.
void write_message(std::string_view line);

template <class... Args>
void print(fmt::format_string<Args...> text, Args&&... args) {
  write_out(fmt::format(text, std::forward<Args>(args)...));
}

/// Prints one JSON object.
void print_json(const nlohmann::ordered_json& json);

}  // namespace halftone::tool
