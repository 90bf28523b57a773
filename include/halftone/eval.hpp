#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <halftone/compare.hpp>
#include <halftone/run_control.hpp>
#include <halftone/tensor.hpp>

namespace halftone {

/// How often each code of a layer occurs.
struct CodeHistogram {
  std::vector<std::uint64_t> counts;  ///< by code; empty for a layer without codes
  std::vector<float> values;          ///< what each code stands for, in units of its scale

  [[nodiscard]] double entropy_bits() const noexcept;       ///< bits that a code carries, of those that it takes
  [[nodiscard]] std::uint64_t codes_used() const noexcept;  ///< codes that occur
};

/// How large the scales of a layer are: bins are quarters of octaves, 1 to 1.25, 1.5, 1.75 and 2 times a power of two.
struct ScaleHistogram {
  std::uint32_t first = 0;            ///< bin i holds the scales from edge(i) to below edge(i + 1)
  std::vector<std::uint64_t> counts;  ///< empty for a layer without scales other than zero
  std::uint64_t zeros = 0;
  std::uint64_t not_finite = 0;  ///< NaN or infinite: their weights are lost

  [[nodiscard]] float edge(std::size_t bin) const noexcept;
};

/// The error of a layer's outputs, of the real product against one of the original weight in binary64.
struct OutputFigures {
  bool given = false;                       ///< the inputs were given; else they are random, normal, of variance 1
  std::uint64_t inputs = 0;                 ///< vectors
  ErrorFigures weights;                     ///< inputs as they are
  std::optional<ErrorFigures> activations;  ///< inputs quantized, too, where the format knows how
  std::string not_quantized_because;        ///< why activations is empty
};

/// The error of a layer's outputs as statistics of its inputs have it.
struct ExpectedError {
  double signal = 0;  ///< tr(W S Wᵀ) of the original weight W and the second moments S
  double noise = 0;   ///< tr(E S Eᵀ) of the error E of the weight

  [[nodiscard]] double rel_l2() const noexcept;  ///< sqrt(noise / signal)
};

/// The time of a layer's product, and of the same in BF16.
struct OutputTime {
  std::string method;  ///< how the layer is multiplied
  double seconds = 0;  ///< of the layer
  double bf16_seconds = 0;
};

/// Another format for a layer, tried on the original.
struct Alternative {
  std::string format;
  bool search = false;  ///< with ScaleMethod::search
  double sqnr_db = 0;
  std::uint64_t bytes = 0;             ///< of all that is written for the layer
  std::optional<double> output_error;  ///< relative L2 of outputs, where EvaluatedLayer::output_error() is known
};

/// A layer that is stored otherwise than in the original.
struct EvaluatedLayer {
  std::string name;    ///< of the weight
  std::string format;  ///< Halftone's name, or the element type
  Shape shape;
  std::uint64_t source_bytes = 0;
  std::uint64_t bytes = 0;    ///< with scales and labels
  bool is_identical = false;  ///< quantized in both files, and equal byte for byte: nothing was measured
  ErrorFigures figures;
  std::uint64_t clipped = 0;  ///< weights beyond the outermost code of their group by more than half the step before it
  CodeHistogram codes;
  ScaleHistogram scales;
  std::optional<OutputFigures> output;
  std::optional<ExpectedError> expected;  ///< where statistics know the inputs
  std::optional<OutputTime> time;
  std::vector<Alternative> alternatives;  ///< of the layers with the largest errors
  std::string advice;                     ///< sentences; empty for the other layers

  [[nodiscard]] double bits_per_weight() const noexcept;
  [[nodiscard]] double clipped_share() const noexcept;
  /// Relative L2 of outputs for inputs that are known, given ones or those of statistics; nothing without.
  [[nodiscard]] std::optional<double> output_error() const noexcept;
  /// What layers are ranked by: output_error() in decibels, or the SQNR of the weight.
  [[nodiscard]] double judged_db() const noexcept;
};

struct Evaluation {
  std::vector<EvaluatedLayer> layers;           ///< by name
  ErrorFigures total;                           ///< over those of `layers` that are not identical
  OutputFigures output_total;                   ///< over the layers with output figures; its `inputs` are 0 without any
  std::optional<ExpectedError> expected_total;  ///< over the layers that statistics know
  std::uint64_t kept = 0;                       ///< tensors of the type and shape that they have in the original
  std::uint64_t kept_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t source_file_bytes = 0;
  std::string device;              ///< of the products
  std::vector<std::string> notes;  ///< what was not measured, and why; each one sentence
};

struct EvaluateOptions {
  std::filesystem::path source;       ///< the original
  std::filesystem::path activations;  ///< inputs of layers, `<layer>.input` of (…, columns); empty: random ones
  std::filesystem::path statistics;   ///< of the inputs of layers; empty: none
  std::uint64_t inputs = 32;          ///< random vectors for a layer; 0: outputs are not measured
  std::uint64_t seed = 20'251'201;    ///< of these
  bool time = false;                  ///< measure the time of products
  std::string device = "cpu";         ///< of the products
  std::size_t advised = 5;            ///< layers, those with the largest errors, for which other formats are tried
  unsigned threads = 0;               ///< 0: one per available core
};

/// Measures what the quantized model at `file` lost against the original: weights, outputs of layers, and what else
/// could be done.  Throws Error; usage where no layer of `file` differs from the original's, or `activations` has nothing of
/// any of them.
[[nodiscard]] Evaluation evaluate_model(const std::filesystem::path& file, const EvaluateOptions& options, RunControl& control);

}  // namespace halftone
