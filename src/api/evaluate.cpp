#include <algorithm>
#include <optional>
#include <thread>

#include <halftone/eval.hpp>

#include "allocate/alternatives.hpp"
#include "allocate/expected_errors.hpp"
#include "api/output_errors.hpp"
#include "base/fail.hpp"
#include "cpu/cpu_backend.hpp"
#include "eval/evaluate.hpp"

namespace halftone {
namespace {

/// Products: their errors, and their time where that was asked for.
void run_products(const eval::FloatModel& original, const eval::FloatModel& other, const io::ModelFiles* given, const Backend& backend,
                  const EvaluateOptions& options, unsigned threads, const RunControl& control, Evaluation& result) {
  if (given == nullptr && options.inputs == 0 && !options.time) return;
  // Layers share the processor's threads; a GPU takes one at a time, and so does a clock.
  const Operations operations(options.device, 1);
  result.device = operations.device();
  const bool on_cpu = operations.device_kind() == DeviceKind::cpu;
  if (given != nullptr || options.inputs != 0) {
    api::measure_outputs({original, other, given, operations, backend, options, control}, on_cpu ? threads : 1, result);
  }
  if (!options.time) return;
  const Operations timed(options.device, threads);
  api::time_outputs({original, other, given, timed, backend, options, control}, result);
}

}  // namespace

Evaluation evaluate_model(const std::filesystem::path& file, const EvaluateOptions& options, RunControl& control) {
  const unsigned threads = options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  const auto backend = cpu::make_backend();
  const eval::FloatModel other(file, *backend);
  const eval::FloatModel original(options.source, *backend);
  std::optional<io::ModelFiles> activations;
  if (!options.activations.empty()) activations.emplace(options.activations);
  std::optional<io::ModelFiles> statistics;
  if (!options.statistics.empty()) statistics.emplace(options.statistics);
  std::vector<std::string> notes;
  std::optional<allocate::StatisticsFile> known;
  if (statistics) known.emplace(allocate::statistics_file(*statistics, notes));
  Evaluation result = eval::evaluate_weights(original, other, *backend, threads, control.stop);
  result.notes.insert(result.notes.end(), notes.begin(), notes.end());
  if (result.layers.empty() && result.kept == 0) {
    fail(ErrorKind::usage, "no tensor of '{}' has the name of one of '{}' and can be compared with it", file.string(),
         options.source.string());
  }
  if (result.layers.empty()) {
    fail(ErrorKind::usage, "'{}' has no layer that is stored otherwise than in '{}'", file.string(), options.source.string());
  }
  const io::ModelFiles* given = activations ? &*activations : nullptr;
  run_products(original, other, given, *backend, options, threads, control, result);
  if (known) allocate::expect_outputs(original, other, *known, *backend, control, threads, result);
  allocate::advise({original, given, known ? &*known : nullptr, *backend, control}, options.advised, threads, result);
  return result;
}

}  // namespace halftone
