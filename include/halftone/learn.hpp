#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <halftone/model.hpp>
#include <halftone/optimizer.hpp>

namespace halftone {

/// How the codes of a weight are chosen, where not each is to be the nearest to its weight.
enum class LearnMethod : std::uint8_t {
#define HALFTONE_LEARN_METHOD(name, needs, meaning) name,
#include <halftone/learn_method.def>
#undef HALFTONE_LEARN_METHOD
};

/// All of them.
inline constexpr LearnMethod kLearnMethods[] = {
#define HALFTONE_LEARN_METHOD(name, needs, meaning) LearnMethod::name,
#include <halftone/learn_method.def>
#undef HALFTONE_LEARN_METHOD
};

/// "feedback"
[[nodiscard]] constexpr std::string_view name_of(LearnMethod method) noexcept {
  constexpr std::string_view names[] = {
#define HALFTONE_LEARN_METHOD(name, needs, meaning) #name,
#include <halftone/learn_method.def>
#undef HALFTONE_LEARN_METHOD
  };
  return names[static_cast<std::size_t>(method)];
}

/// What a method goes by besides the weight.
enum class LearnNeeds : std::uint8_t {
  nothing,
  basis,    ///< the leading singular vectors of the weight (RankOptions)
  moments,  ///< the second moments of the layer's inputs
};

[[nodiscard]] constexpr LearnNeeds needs_of(LearnMethod method) noexcept {
  constexpr LearnNeeds needs[] = {
#define HALFTONE_LEARN_METHOD(name, needs, meaning) LearnNeeds::needs,
#include <halftone/learn_method.def>
#undef HALFTONE_LEARN_METHOD
  };
  return needs[static_cast<std::size_t>(method)];
}
[[nodiscard]] constexpr bool uses_moments(LearnMethod method) noexcept { return needs_of(method) == LearnNeeds::moments; }

/// The method where none is asked for.
[[nodiscard]] constexpr LearnMethod default_method(bool has_statistics) noexcept {
  return has_statistics ? LearnMethod::feedback : LearnMethod::project;
}

/// How much time a method may take.
enum class Effort : std::uint8_t { fast, usual, best };

/// What is added to the biases of layers.
enum class BiasCorrection : std::uint8_t {
  none,
  synthetic,  ///< the mean error of outputs over random inputs of mean zero: no more than noise, as the reference has it
  stats,      ///< the same over the mean input of the statistics
};

/// Which singular vectors make a basis: floor(top_p · the smaller dimension) of them, within min_k and max_k.
struct RankOptions {
  double top_p = 0.2;
  std::uint64_t min_k = 256;
  std::uint64_t max_k = 1280;
};

/// What methods are told, for all layers alike.
struct LearnSettings {
  Effort effort = Effort::usual;
  RankOptions rank;
  std::optional<double> damping;     ///< of second moments, part of their mean diagonal; nothing: by their count
  std::optional<double> mse_budget;  ///< by what part the squared error may grow over that of nearest rounding
  OptimizerSettings optimizer;       ///< of the method of that name
};

/// What a user may decide about learned rounding.
struct LearnOptions : LearnSettings {
  std::optional<LearnMethod> method;  ///< nothing: default_method(); a layer without the moments that its method needs
                                      ///< is rounded to nearest
  bool prior_weights = false;         ///< such a layer takes WᵀW for them instead
};

/// Statistics of the inputs of layers, a safetensors file (docs/STATISTICS.md); headers only.
struct Statistics {
  std::filesystem::path path;
  ModelIndex index;
};

/// Opens the statistics at `path`.  Throws Error.
[[nodiscard]] Statistics read_statistics(const std::filesystem::path& path);

/// The statistics of one layer.
struct LayerStatistics {
  std::optional<ModelTensor> second_moment;   ///< (columns, columns): the mean of x xᵀ
  std::optional<ModelTensor> diagonal;        ///< (columns): the mean of x²
  std::optional<ModelTensor> mean;            ///< (columns)
  std::optional<ModelTensor> count;           ///< one element: of how many vectors they are the means
  std::optional<ModelTensor> cross_moment;    ///< (columns, columns): the mean of x x̂ᵀ, where x̂ is what second_moment is of
  std::optional<ModelTensor> mean_quantized;  ///< (columns): the mean of x̂

  [[nodiscard]] bool empty() const noexcept { return !second_moment && !diagonal && !mean && !cross_moment && !mean_quantized; }
};

/// How the codes of one weight are chosen.
struct LearnRecipe : LearnSettings {
  LearnMethod method = LearnMethod::nearest;
  bool prior_weights = false;  ///< WᵀW stands in for the second moments that the method needs
  std::uint64_t seed = 0;      ///< of the layer
  LayerStatistics statistics;
  BiasCorrection bias_correction = BiasCorrection::none;
  std::optional<ModelTensor> bias;  ///< that is corrected
  std::uint64_t lora_rank = 0;      ///< of the correction of what is lost (Job::lora); 0 without
};

/// Whether the scales of the weight move with its codes.
[[nodiscard]] constexpr bool moves_scales(const LearnRecipe& recipe) noexcept {
  return recipe.method == LearnMethod::optimizer && recipe.optimizer.scales != ScaleOptimization::fixed;
}

/// The weight W′ that cross moments have put in the place of a layer's weight W, before it was rounded.
struct MovedTarget {
  double damping = 0;  ///< of the moments that it was made with
  double change = 0;   ///< ‖W′ - W‖² / ‖W‖²
};

/// What learned rounding did to one layer.  Errors are those against the weight that was rounded: W′ where there is one.
struct LearnedLayer {
  std::string tensor;
  LearnMethod method{};              ///< nearest where another method gained nothing
  std::string kept_nearest_because;  ///< empty where the method's codes were taken
  std::uint64_t changed = 0;         ///< codes that are not those of rounding to nearest
  std::uint64_t elements = 0;
  std::uint64_t moved_scales = 0;             ///< scales that are not those of rounding to nearest
  double squared_error = 0;                   ///< ‖E‖²
  std::optional<MovedTarget> target;          ///< nothing where the weight itself was rounded
  std::optional<double> loss_ratio;           ///< ‖Uᵀ E V‖, relative to that of rounding to nearest
  std::optional<double> squared_error_ratio;  ///< ‖E‖², likewise
  std::optional<double> output_error_ratio;   ///< tr(E H Eᵀ), likewise
  std::uint64_t rank = 0;                     ///< of the basis; 0 without
  std::uint64_t wanted_rank = 0;              ///< by RankOptions; more than `rank` where the weight has not so many directions
  double captured_energy = 0;                 ///< the part of ‖W‖² in it
  double basis_residual = 0;                  ///< 0 for an exact one
  double damping = 0;
  int iterations = 0;
  std::string stop_reason;
  std::uint64_t lora_rank = 0;          ///< of the low-rank correction; 0 without
  std::uint64_t lora_directions = 0;    ///< of them, those that are not zeros: the error may have fewer
  std::optional<double> lora_captured;  ///< the part of the error that it takes off; nothing where there is no error
  bool lora_by_output = false;          ///< the error is tr(E H Eᵀ), else ‖E‖²
  double seconds = 0;
};

}  // namespace halftone
