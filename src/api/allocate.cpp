#include <halftone/allocate.hpp>

#include <algorithm>
#include <thread>

#include "allocate/allocate.hpp"
#include "base/fail.hpp"
#include "cpu/cpu_backend.hpp"

namespace halftone {

Allocation allocate_formats(const std::filesystem::path& input, const AllocateOptions& options, RunControl& control) {
  const int goals = (options.target_bytes ? 1 : 0) + (options.min_sqnr_db ? 1 : 0) + (options.max_output_error ? 1 : 0);
  if (options.formats.empty()) fail(ErrorKind::usage, "an allocation needs formats to choose from");
  if (goals == 0) fail(ErrorKind::usage, "one of --target-size, --min-sqnr and --max-output-error is needed");
  if (goals > 1) fail(ErrorKind::usage, "--target-size, --min-sqnr and --max-output-error exclude each other: one is the goal");
  const auto backend = cpu::make_backend();
  const eval::FloatModel model(input, *backend);
  std::optional<io::ModelFiles> statistics;
  if (!options.statistics.empty()) statistics.emplace(options.statistics);
  AllocateOptions used = options;
  if (used.threads == 0) used.threads = std::max(1U, std::thread::hardware_concurrency());
  return allocate::allocate(model, statistics ? &*statistics : nullptr, *backend, used, control);
}

}  // namespace halftone
