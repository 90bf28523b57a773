#include "text_file.hpp"

#include "base/fail.hpp"
#include "io/mapped_file.hpp"
#include "io/model_files.hpp"
#include "io/output_file.hpp"
#include "io/paths.hpp"

namespace halftone::tool {
namespace {

std::vector<io::FileId> input_ids(const TextFile& file) {
  std::vector<io::FileId> all;
  for (const std::filesystem::path& input : file.inputs) {
    const std::vector<io::FileId> ids = io::ModelFiles(input).ids();
    all.insert(all.end(), ids.begin(), ids.end());
  }
  return all;
}

}  // namespace

void check(const TextFile& file) {
  if (file.path.empty()) fail(ErrorKind::usage, "the name of an output must not be empty");
  io::check_folder_of(file.path);
  const std::vector<io::FileId> inputs = input_ids(file);
  io::refuse_inputs(file.path, inputs, "output");
  io::refuse_inputs(io::partial_path(file.path), inputs, "partial output");
  if (!file.replace && io::is_taken(file.path)) {
    fail(ErrorKind::output_exists, "the output '{}' exists; --force replaces it", file.path.string());
  }
}

void write(const TextFile& file, const std::string& text) {
  io::OutputFile::Request request{.path = file.path, .head = text, .n_bytes = text.size(), .replace = file.replace};
  request.inputs = input_ids(file);
  io::OutputFile(std::move(request)).commit();
}

}  // namespace halftone::tool
