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
  const unsigned threads = options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  return verify::verify_files(files, original ? &*original : nullptr, *backend, options.target, threads, control);
}

}  // namespace halftone
