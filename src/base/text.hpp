#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halftone::base {

/// The candidate nearest to `word` in edit distance, if it is near enough to be a typing mistake.
[[nodiscard]] std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "; did you mean 'fp8'?" where a candidate is near, else "".
[[nodiscard]] std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

/// "1.50 GiB", "12.0 KiB", "7 bytes".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

/// Bytes from "64MiB", "1.5GiB", "6GB", "4096"; nothing where the text is no size.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);

/// True if `text` is well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// `text` with control characters as "\\x1b": what a file says must not steer a terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// "1 tensor", "3 tensors": `noun` takes an s for any number but one.
[[nodiscard]] std::string counted(std::uint64_t n, std::string_view noun);

/// "a, b or c".
[[nodiscard]] std::string joined_by_or(const std::vector<std::string>& words);

/// `pattern` with `*` for any run of characters, matched against the whole of `text`.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view text) noexcept;

}  // namespace halftone::base
