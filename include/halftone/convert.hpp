#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <halftone/error.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>
#include <halftone/verify.hpp>

namespace halftone {

/// Where and how fast a conversion runs; none of it changes the output's bytes.
struct RunOptions {
  unsigned threads = 0;                                 ///< 0: one per available core
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;  ///< anonymous host memory
  bool replace = false;                                 ///< an existing output may be replaced
  std::vector<std::filesystem::path> kept_files;        ///< that no output may replace, besides those of the input
  std::string device = "auto";                          ///< auto, cpu, cuda, or cuda:0,1: which GPUs
  std::uint64_t device_memory_bytes = 0;                ///< of each GPU; 0: most of what is free
  bool verify = false;                                  ///< convert(): check the finished file before it gets its name
};

/// What a conversion did.
struct RunReport {
  Plan plan;
  std::string device;
  double seconds = 0;
  std::vector<LearnedLayer> learned;         ///< in the order of the plan's jobs
  std::optional<Verification> verification;  ///< where it was asked for; it has passed
};

/// Reads the headers of the model at `input` (a safetensors file, a shard index, or a folder)
/// and decides its conversion; writes nothing.  Throws Error.
[[nodiscard]] Plan plan_conversion(const std::filesystem::path& input, const PlanOptions& options);

/// Converts the model at `input` into the file `output`, which appears complete or not at all.
/// With RunOptions::verify the finished file is checked for PlanOptions::target and against the input first;
/// one that does not pass is removed (ErrorKind::verification).
/// Throws Error.
RunReport convert(const std::filesystem::path& input, const std::filesystem::path& output, const PlanOptions& options,
                  const RunOptions& run, RunControl& control);

/// Turns every quantized layer of `input` back into `dtype` (F32, BF16 or F16).  Throws Error.
RunReport dequantize(const std::filesystem::path& input, const std::filesystem::path& output, Dtype dtype, const RunOptions& run,
                     RunControl& control);

}  // namespace halftone
