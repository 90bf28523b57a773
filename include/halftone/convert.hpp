#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <halftone/error.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>
#include <halftone/verify.hpp>

namespace halftone {

/// An option as its user calls it, and what was given for it.
struct NamedOption {
  std::string name;  ///< "--format"
  std::string value;
};

/// Where and how fast a conversion runs; none of it changes the output's bytes.
struct RunOptions {
  unsigned threads = 0;                                 ///< 0: one per available core
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;  ///< anonymous host memory
  bool replace = false;                                 ///< an existing output may be replaced
  std::filesystem::path lora_output;                    ///< convert(): where PlanOptions::lora_rank writes to; then needed
  std::vector<std::filesystem::path> kept_files;        ///< that no output may replace, besides those of the input
  std::string device = "auto";                          ///< auto, cpu, cuda, or cuda:0,1: which GPUs
  std::uint64_t device_memory_bytes = 0;                ///< of each GPU; 0: most of what is free
  bool verify = false;                                  ///< convert(): check the finished file before it gets its name
  bool journal = false;                                 ///< convert(): an interrupted run keeps what it has done, for a run with `resume`
  bool resume = false;                                  ///< convert(): go on where a run with a journal was interrupted; means journal, too
  std::vector<NamedOption> named_options;               ///< what the plan follows from, to say which differs from the interrupted run's
  /// Called before the first look at GPUs, with the numbers of those that will be used, or with none where `device` has no
  /// numbers and the first that can be used will be: a program may hide others from the driver, which takes longer the more it
  /// shows.
  std::function<void(const std::vector<int>&)> before_gpus;
  std::function<void(const std::string&)> tell;  ///< called with what the user should know before work starts, one sentence
};

/// What a run with RunOptions::resume found.
struct Resumption {
  std::uint64_t jobs = 0;         ///< of the plan
  std::uint64_t jobs_kept = 0;    ///< that the interrupted run had done
  std::uint64_t jobs_redone = 0;  ///< that it had recorded, but whose bytes were not as recorded
  std::uint64_t kept_bytes = 0;   ///< of the output
  std::uint64_t layers_kept = 0;  ///< of RunReport::learned, those that the interrupted run had learned
};

/// What a conversion did.
struct RunReport {
  Plan plan;
  std::string device;
  double seconds = 0;
  std::optional<double> foreseen_seconds;    ///< what `seconds` was to be, before the first layer learned
  std::vector<LearnedLayer> learned;         ///< in the order of the plan's jobs, those that an interrupted run learned, too
  std::filesystem::path lora_output;         ///< where low-rank corrections were written; empty without
  std::optional<Verification> verification;  ///< where it was asked for; it has passed
  std::optional<Resumption> resumption;      ///< where it was asked for
};

/// Reads the headers of the model at `input` (a safetensors file, a shard index, or a folder)
/// and decides its conversion; writes nothing.  With Rotation::automatic it reads the weights of rotated formats, too,
/// with the threads, the memory and the device of `run`.  Throws Error.
[[nodiscard]] Plan plan_conversion(const std::filesystem::path& input, const PlanOptions& options, const RunOptions& run,
                                   RunControl& control);
[[nodiscard]] Plan plan_conversion(const std::filesystem::path& input, const PlanOptions& options);

/// Converts the model at `input` into the file `output`, which appears complete or not at all.
/// With RunOptions::verify the finished file is checked for PlanOptions::target and against the input first;
/// one that does not pass is removed (ErrorKind::verification).
/// With RunOptions::journal or resume, `<output>.journal` records beside `<output>.partial` which jobs are done; after an
/// error or a kill both stay.  With resume a run takes over what is there and as recorded.  Throws journal_mismatch where
/// the interrupted run was another, and then touches neither.
/// Throws Error.
RunReport convert(const std::filesystem::path& input, const std::filesystem::path& output, const PlanOptions& options,
                  const RunOptions& run, RunControl& control);

/// Turns every quantized layer of `input` back into `dtype` (F32, BF16 or F16).  Throws Error.
RunReport dequantize(const std::filesystem::path& input, const std::filesystem::path& output, Dtype dtype, const RunOptions& run,
                     RunControl& control);

}  // namespace halftone
