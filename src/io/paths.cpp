#include "io/paths.hpp"

#include <algorithm>
#include <system_error>

#include "base/fail.hpp"

namespace halftone::io {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_reach(const fs::path& path, const std::error_code& error) {
  fail(ErrorKind::io, "cannot reach '{}': {}", path.string(), error.message());
}

using Status = fs::file_status(const fs::path&, std::error_code&);

fs::file_type type_of(const fs::path& path, Status* status) {
  std::error_code error;
  const fs::file_type type = status(path, error).type();
  if (type == fs::file_type::none) fail_reach(path, error);  // a name that nothing has is no error
  return type;
}

}  // namespace

bool exists(const fs::path& path) { return type_of(path, fs::status) != fs::file_type::not_found; }
bool is_taken(const fs::path& path) { return type_of(path, fs::symlink_status) != fs::file_type::not_found; }
bool is_folder(const fs::path& path) { return type_of(path, fs::status) == fs::file_type::directory; }
bool is_regular_file(const fs::path& path) { return type_of(path, fs::status) == fs::file_type::regular; }

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator(); entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error) fail_reach(folder, error);
  std::sort(entries.begin(), entries.end());
  return entries;
}

fs::path resolved(const fs::path& path) {
  std::error_code ignored;
  const fs::path real = fs::weakly_canonical(path, ignored);
  return real.empty() ? path : real;
}

}  // namespace halftone::io
