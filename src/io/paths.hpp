#pragma once

#include <filesystem>
#include <vector>

namespace halftone::io {

// What is there under a name.  Where the file system does not say (a name that is too long, a loop of links, a folder that
// may not be entered), Error io is thrown; the functions of std::filesystem have an exception of their own.

/// Whether there is a file, a folder or anything else; links are followed.
[[nodiscard]] bool exists(const std::filesystem::path& path);
/// Whether the name is taken, be it by a link that leads nowhere.
[[nodiscard]] bool is_taken(const std::filesystem::path& path);
[[nodiscard]] bool is_folder(const std::filesystem::path& path);
[[nodiscard]] bool is_regular_file(const std::filesystem::path& path);
/// What lies in `folder`, sorted by name.
[[nodiscard]] std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);
/// The whole path without links, as far as it exists; `path` itself where that cannot be told.
[[nodiscard]] std::filesystem::path resolved(const std::filesystem::path& path);

}  // namespace halftone::io
