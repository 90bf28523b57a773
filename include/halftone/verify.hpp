#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <halftone/compare.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>

namespace halftone {

/// What a verification says of a file.
struct Finding {
  enum class Severity : std::uint8_t {
    problem,  ///< the target would not load the file, would fail with it, or would compute with wrong numbers
    note,     ///< worth knowing: what runs slowly, what holds only zeros
  };

  Severity severity{};
  std::string layer;  ///< the layer without ".weight", or the tensor; empty for the file
  std::string text;   ///< one clause: "its '.weight_scale' holds NaN, at number 17 of 4096"
};

/// The error of a quantized layer against the original, and what its format gives.
struct LayerError {
  ErrorFigures figures;
  ErrorFigures expected;  ///< of the format's plain quantization (absmax, nearest) of the original
};

/// A quantized layer that was verified.
struct VerifiedLayer {
  std::string name;                 ///< without ".weight"
  std::string format;               ///< Halftone's name, or what the file calls it
  std::optional<LayerError> error;  ///< where an original was given and the layer could be read
};

struct VerifyOptions {
  Target target = Target::comfyui;  ///< the loader whose rules hold; none: only what every reader needs
  std::filesystem::path source;     ///< the original; empty for none
  unsigned threads = 0;             ///< 0: one per available core
  double tolerance_db = 1.5;        ///< how far a layer's error may lie above that of its format's plain quantization
};

struct Verification {
  std::vector<Finding> findings;      ///< those of the file first, then by layer
  std::vector<VerifiedLayer> layers;  ///< by name

  /// How many findings are of this severity.
  [[nodiscard]] std::uint64_t count(Finding::Severity severity) const noexcept;
  /// Whether no finding is a problem.
  [[nodiscard]] bool passed() const noexcept { return count(Finding::Severity::problem) == 0; }
};

/// Checks whether the target would load the quantized model at `file` (a safetensors file, a shard index, or
/// a folder) and whether its numbers hold: reads every code and every scale and, where an original is given,
/// compares each layer with it.  What is wrong with the layers is a finding.
/// Throws Error for a file that is no safetensors, and for an original that cannot be read.
[[nodiscard]] Verification verify_model(const std::filesystem::path& file, const VerifyOptions& options, RunControl& control);

}  // namespace halftone
