// Runs a fuzz target once on each file of the given folders, in the normal build, so that targets
// and corpus do not rot.  A defect ends the program, as it would end the fuzzer; so does a file
// called "valid-…" that is refused, or one called "reject-…" that is accepted.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz_target.hpp"

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void replay(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  halftone::fuzz::require(!file.bad() && bytes.size() == fs::file_size(path), "an input cannot be read");
  // Said beforehand: where the target ends the program, this is the last line.
  std::fprintf(stderr, "%s\n", path.c_str());
  halftone::fuzz::accepted = false;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  const std::string name = path.filename().string();
  if (name.starts_with("valid-")) halftone::fuzz::require(halftone::fuzz::accepted, "this input is valid");
  if (name.starts_with("reject-")) halftone::fuzz::require(!halftone::fuzz::accepted, "this input is not valid");
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t n_files = 0;
  for (int i = 1; i < argc; ++i) {
    for (const fs::path& path : files_in(argv[i])) {
      replay(path);
      ++n_files;
    }
  }
  std::fprintf(stderr, "%zu inputs replayed\n", n_files);
  return n_files > 0 ? 0 : 1;
}
