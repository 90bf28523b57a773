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

/// Whose errors are added up.
enum class Balance : std::uint8_t {
  weights,  ///< squared errors as they are, as compare_models() adds them
  layers,   ///< those of each layer relative to the layer: all layers count alike
};

/// What an allocation asks for; exactly one of the goals is set.
struct AllocateOptions {
  PlanOptions plan;                              ///< which layers are quantized; its format and rules are not used
  std::vector<const FormatDescriptor*> formats;  ///< candidates; not empty
  bool keep = false;                             ///< a layer may keep its precision
  ScaleMethod scales = ScaleMethod::absmax;      ///< of the conversion; with `statistics` a search heeds them
  std::optional<std::uint64_t> target_bytes;     ///< of the output's files: the least error within it
  std::optional<double> min_sqnr_db;             ///< of all quantized layers together: the smallest output that reaches it
  std::optional<double> max_output_error;        ///< relative L2 of the outputs of all quantized layers: the smallest output below it
  std::filesystem::path statistics;              ///< of the inputs of layers; empty: of unit variance and uncorrelated
  Balance balance = Balance::weights;
  unsigned threads = 0;  ///< 0: one per available core
};

/// What a format does to a layer.
struct AllocationCandidate {
  const FormatDescriptor* format = nullptr;  ///< null: the layer keeps its precision
  bool is_unchanged = false;                 ///< the layer stays as it is: also one that is stored in `format` already
  std::uint64_t bytes = 0;                   ///< of all tensors of the layer
  ErrorFigures figures;
  double output_noise = 0;  ///< mean squared error of the layer's output, over inputs as the statistics have them
};

struct AllocatedLayer {
  std::string name;  ///< of the weight
  std::vector<AllocationCandidate> candidates;
  std::size_t chosen = 0;
  double output_signal = 0;  ///< mean square of the layer's output
  bool has_statistics = false;

  [[nodiscard]] const AllocationCandidate& choice() const { return candidates[chosen]; }
};

/// A format for each layer.
struct Allocation {
  std::vector<AllocatedLayer> layers;    ///< by name
  std::string rules;                     ///< text of a rules file
  Plan plan;                             ///< of a conversion with these rules and the first of the formats
  ScaleMethod scales{};                  ///< of that conversion: search only where a format of it has scales to choose from
  bool search_heeds_statistics = false;  ///< that conversion takes the statistics, too
  ErrorFigures total;                    ///< over the quantized layers
  double output_error = 0;               ///< relative L2, over the quantized layers
  double reached = 0;                    ///< what the goal asks of: dB, relative L2 or bytes, added up as it says
  bool is_best = false;                  ///< no other choice is better, by the sizes and errors that were measured
  double gap = 0;                        ///< otherwise: by what part of its loss (error or bytes) a better one may be better
  std::vector<std::string> notes;
};

/// Measures what each format does to each layer of the model at `input`, and chooses.  Throws Error; unsupported where no
/// choice reaches the goal.
[[nodiscard]] Allocation allocate_formats(const std::filesystem::path& input, const AllocateOptions& options, RunControl& control);

}  // namespace halftone
