#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace halftone::tool {

/// A text that becomes a file beside the models that it is about.
struct TextFile {
  std::filesystem::path path;
  bool replace = false;                       ///< an existing file may be replaced
  std::vector<std::filesystem::path> inputs;  ///< models, which it may not replace
};

/// Refuses what would be refused when the text is there: before the work that makes it.  Throws usage, same_file, output_exists, io.
void check(const TextFile& file);

/// Writes `text` to the file, which appears complete or not at all.  Throws usage, same_file, output_exists, no_space, io.
void write(const TextFile& file, const std::string& text);

}  // namespace halftone::tool
