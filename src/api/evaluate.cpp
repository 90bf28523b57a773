#include <algorithm>
#include <optional>
#include <thread>

#include <halftone/eval.hpp>

#include "allocate/alternatives.hpp"
#include "api/output_errors.hpp"
#include "base/fail.hpp"
#include "cpu/cpu_backend.hpp"
#include "eval/evaluate.hpp"

namespace halftone {

Evaluation evaluate_model(const std::filesystem::path& file, const EvaluateOptions& options, RunControl& control) {
  const unsigned threads = options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  const auto backend = cpu::make_backend();
  const eval::FloatModel other(file, *backend);
  const eval::FloatModel original(options.source, *backend);
  std::optional<io::ModelFiles> activations;
  if (!options.activations.empty()) activations.emplace(options.activations);
  Evaluation result = eval::evaluate_weights(original, other, *backend, threads, control.stop);
  if (result.layers.empty() && result.kept == 0) {
    fail(ErrorKind::usage, "no tensor of '{}' has the name of one of '{}' and can be compared with it", file.string(),
         options.source.string());
  }
  if (result.layers.empty()) {
    fail(ErrorKind::usage, "'{}' has no layer that is stored otherwise than in '{}'", file.string(), options.source.string());
  }
  allocate::advise(original, *backend, options.advised, threads, control.stop, result);
  if (!activations && options.inputs == 0 && !options.time) return result;
  // Layers share the processor's threads; a GPU takes one at a time, and so does a clock.
  const Operations operations(options.device, 1);
  result.device = operations.device();
  const bool on_cpu = operations.device_kind() == DeviceKind::cpu;
  const io::ModelFiles* given = activations ? &*activations : nullptr;
  if (given != nullptr || options.inputs != 0) {
    api::measure_outputs({original, other, given, operations, *backend, options, control}, on_cpu ? threads : 1, result);
  }
  if (options.time) {
    const Operations timed(options.device, threads);
    api::time_outputs({original, other, given, timed, *backend, options, control}, result);
  }
  return result;
}

}  // namespace halftone
