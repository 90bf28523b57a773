#include "text_file.hpp"

#include "base/fail.hpp"
#include "io/mapped_file.hpp"
#include "io/model_files.hpp"
#include "io/output_file.hpp"

namespace halftone::tool {

void check(const TextFile& file) {
  if (file.path.empty()) fail(ErrorKind::usage, "the name of an output must not be empty");
  io::check_folder_of(file.path);
  if (!file.replace && std::filesystem::exists(std::filesystem::symlink_status(file.path))) {
    fail(ErrorKind::output_exists, "the output '{}' exists; --force replaces it", file.path.string());
  }
}

void write(const TextFile& file, const std::string& text) {
  io::OutputFile::Request request{.path = file.path, .head = text, .n_bytes = text.size(), .replace = file.replace};
  for (const std::filesystem::path& input : file.inputs) {
    const std::vector<io::FileId> ids = io::ModelFiles(input).ids();
    request.inputs.insert(request.inputs.end(), ids.begin(), ids.end());
  }
  io::OutputFile(std::move(request)).commit();
}

}  // namespace halftone::tool
