#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halftone::io {

/// A file that a run reads, as far as can be told without reading it all.
struct InputState {
  std::string path;  ///< absolute, without links
  std::uint64_t n_bytes = 0;
  std::int64_t modified_ns = 0;  ///< since 1970
  friend bool operator==(const InputState&, const InputState&) = default;
};

/// What the bytes that a run writes follow from.
struct RunIdentity {
  std::string version;                         ///< of the program
  std::string plan;                            ///< its hash, in which the headers of the inputs are
  std::string device;                          ///< on whose kind the bytes depend; empty where they depend on none
  std::vector<InputState> inputs;              ///< in the order of the model
  std::vector<std::string> outputs;            ///< names of the files that it writes; only to find them
  std::map<std::string, std::string> options;  ///< only to say which of them makes another plan

  /// One line of JSON that begins with kIdentityMark.
  [[nodiscard]] std::string to_line() const;
  /// The identity in `line`, or nothing where it is none of this revision.
  [[nodiscard]] static std::optional<RunIdentity> from_line(std::string_view line);
};

/// What every line of an identity begins with, whatever its revision.
inline constexpr std::string_view kIdentityMark = R"({"halftone_journal":)";

/// What makes `now` another run than `then`, as a clause; empty where they write the same bytes.
[[nodiscard]] std::string difference(const RunIdentity& then, const RunIdentity& now);

}  // namespace halftone::io
