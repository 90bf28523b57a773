#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <halftone/backend.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>

#include "base/fail.hpp"
#include "exec/forecast.hpp"
#include "io/model_files.hpp"
#include "io/output_file.hpp"

namespace halftone::exec {

/// What every task of a run may use.
struct Context {
  const Plan& plan;
  const io::ModelFiles& files;
  const Backend& backend;
  std::span<io::OutputFile* const> outputs;  ///< the output, or its shards; behind them, that of low-rank corrections
  const io::ModelFiles* statistics;          ///< of the inputs of layers; null without
  std::span<LearnedLayer> learned;           ///< one for each job of the plan
  Forecast* forecast;                        ///< of a run that learns; null elsewhere
  const RunControl& control;                 ///< whether the run is to end
  std::uint64_t band_bytes;                  ///< bytes of the larger side, input or output, that one task handles
  unsigned threads;                          ///< that work on tasks

  /// Throws interrupted where the run is to end.
  void check_stop() const {
    if (control.stop.load(std::memory_order_relaxed)) fail(ErrorKind::interrupted, "interrupted");
  }
  /// Says what was done to the layer of `job`.
  void note(const Job& job, LearnedLayer layer) const { learned[static_cast<std::size_t>(&job - plan.jobs.data())] = std::move(layer); }
  /// The `n_bytes` bytes at byte `at` of output tensor `index`, to be written.
  [[nodiscard]] io::OutputFile::Window window(std::uint32_t index, std::uint64_t at, std::uint64_t n_bytes) const {
    const Place& place = plan.places[index];
    return {*outputs[place.file], place.offset + at, n_bytes};
  }
  /// Writes `bytes` there by a call.
  void write_at(std::uint32_t index, std::uint64_t at, std::span<const std::byte> bytes) const {
    const Place& place = plan.places[index];
    outputs[place.file]->write_at(place.offset + at, bytes);
  }
  /// Writes tensor `index` of the low-rank corrections.
  void write_lora(std::uint32_t index, std::span<const float> values) const {
    const Place place = plan.lora_place(index);
    outputs[place.file]->write_at(place.offset, std::as_bytes(values));
  }
};

/// A job in execution: stages that follow one another, each of independent tasks.  The results
/// do not depend on which thread runs a task or in which order.
class Work {
 public:
  virtual ~Work() = default;
  [[nodiscard]] virtual std::size_t stages() const = 0;
  [[nodiscard]] virtual std::size_t tasks(std::size_t stage) const = 0;
  /// Returns the output bytes that this task completed, for the progress display.
  virtual std::uint64_t run(std::size_t stage, std::size_t task) = 0;
  /// Called once, after all tasks of `stage`; returns the output bytes that it completed.
  virtual std::uint64_t finish(std::size_t /*stage*/) { return 0; }
};

/// The work of `job`; `job` and `context` must outlive it.
[[nodiscard]] std::unique_ptr<Work> make_work(const Job& job, const Context& context);

// One per JobKind, each in a file of its own.
[[nodiscard]] std::unique_ptr<Work> make_copy_work(const Job& job, const Context& context);
[[nodiscard]] std::unique_ptr<Work> make_constant_work(const Job& job, const Context& context);
[[nodiscard]] std::unique_ptr<Work> make_cast_work(const Job& job, const Context& context);
[[nodiscard]] std::unique_ptr<Work> make_quantize_work(const Job& job, const Context& context);
[[nodiscard]] std::unique_ptr<Work> make_learn_work(const Job& job, const Context& context);
[[nodiscard]] std::unique_ptr<Work> make_dequantize_work(const Job& job, const Context& context);
[[nodiscard]] std::unique_ptr<Work> make_recode_work(const Job& job, const Context& context);
[[nodiscard]] std::unique_ptr<Work> make_largest_scale_work(const Job& job, const Context& context);
[[nodiscard]] std::unique_ptr<Work> make_unnest_work(const Job& job, const Context& context);

}  // namespace halftone::exec
