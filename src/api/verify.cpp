#include <halftone/verify.hpp>

#include <algorithm>
#include <optional>
#include <thread>

#include "cpu/cpu_backend.hpp"
#include "verify/verify_files.hpp"

namespace halftone {

Verification verify_model(const std::filesystem::path& file, const VerifyOptions& options, RunControl& control) {
  const auto backend = cpu::make_backend();
  const io::ModelFiles files(file);
  std::optional<eval::FloatModel> original;
  if (!options.source.empty()) original.emplace(options.source, *backend);
  VerifyOptions used = options;
  if (used.threads == 0) used.threads = std::max(1U, std::thread::hardware_concurrency());
  return verify::verify_files(files, original ? &*original : nullptr, *backend, used, control);
}

}  // namespace halftone
