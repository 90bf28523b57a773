#include "plan/learning.hpp"

#include <algorithm>
#include <initializer_list>

#include "base/fail.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"
#include "formats/layer_names.hpp"
#include "formats/movable_scales.hpp"
#include "plan/layer_statistics.hpp"

namespace halftone::plan {
namespace {

bool can_be_learned(const FormatDescriptor& format) { return !format.storage().row_scales; }

/// Throws unsupported where the recipe moves scales that cannot be moved.
void check_scales(const Decision& decision, const LearnRecipe& recipe) {
  if (!moves_scales(recipe)) return;
  const std::string why = formats::why_scales_stay(decision.spec);
  if (why.empty()) return;
  fail(ErrorKind::unsupported, "'{}': an optimizer cannot move its scales: {}; --scale-optimization fixed leaves them", decision.tensor,
       why);
}

/// A seed of the layer's own, so that it does not depend on the others.
std::uint64_t seed_of(std::uint64_t seed, const std::string& tensor) {
  return std::stoull(base::digest(fmt::format("{} {}", seed, tensor)).substr(0, 16), nullptr, 16);
}

/// What `options` say, for a weight with these statistics.
void set_method(LearnRecipe& recipe, const LearnOptions& options, bool has_file) {
  static_cast<LearnSettings&>(recipe) = options;
  recipe.method = options.method.value_or(default_method(has_file));
  if (!uses_moments(recipe.method) || recipe.statistics.second_moment) return;
  recipe.prior_weights = options.prior_weights;
  if (!recipe.prior_weights) recipe.method = LearnMethod::nearest;
}

/// The names of the methods that use second moments, for messages.
std::string methods_with_moments() {
  std::vector<std::string> names;
  for (const LearnMethod method : kLearnMethods) {
    if (uses_moments(method)) names.emplace_back(name_of(method));
  }
  return base::joined_by_or(names);
}

/// "'a', 'b', 'c' and 4 more".
std::string first_of(const std::vector<std::string>& layers) {
  constexpr std::size_t shown = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(shown, layers.size()); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", base::printable(layers[i]));
  return layers.size() <= shown ? text : text + fmt::format(" and {} more", layers.size() - shown);
}

/// Throws usage for numbers with which no optimizer could work.
void check_schedule(const ScheduleOptions& schedule) {
  if (schedule.iterations == 0) fail(ErrorKind::usage, "--iterations 0 would do nothing: it takes at least 1");
  if (!(schedule.rate > 0)) fail(ErrorKind::usage, "--learning-rate {} would move nothing: it takes a number above 0", schedule.rate);
  const auto check_factor = [](const char* option, double factor) {
    if (factor > 0 && factor <= 1) return;
    fail(ErrorKind::usage, "{} {} is no factor of a falling rate: it takes a number above 0 and at most 1", option, factor);
  };
  check_factor("--rate-factor", schedule.factor);
  check_factor("--rate-gamma", schedule.gamma);
}

/// The bias of a layer, where its job can correct it.
const ModelTensor* bias_of(const ModelIndex& model, const std::map<std::string_view, const Decision*>& by_name, const std::string& layer,
                           std::uint64_t rows) {
  const ModelTensor* bias = model.find(layer + ".bias");
  if (bias == nullptr || bias->info.shape != Shape{rows} || !is_source_float(bias->info.dtype)) return nullptr;
  return by_name.at(bias->info.name)->action == Action::keep ? bias : nullptr;
}

}  // namespace

Learning::Learning(const ModelIndex& model, const PlanOptions& options, const std::vector<Decision>& decisions,
                   const formats::StoredByWeight& stored) {
  const bool searches = options.statistics && options.spec.scales == ScaleMethod::search;
  if (!options.learn && !searches && options.bias_correction == BiasCorrection::none && options.lora_rank == 0) return;
  std::map<std::string_view, const Decision*> by_name;
  for (const Decision& decision : decisions) by_name.emplace(decision.tensor, &decision);
  std::size_t quantized = 0;
  std::vector<std::string> without;  // layers of which the statistics have nothing
  std::size_t without_moments = 0;
  std::size_t means = 0;
  std::string first_layer;
  for (const Decision& decision : decisions) {
    if (decision.action != Action::quantize) continue;
    const FormatDescriptor& format = *decision.spec.format;
    if (!can_be_learned(format)) {
      fail(ErrorKind::unsupported, "'{}' cannot be {}: the scales of {} are fitted to the codes", decision.tensor,
           options.learn        ? "rounded by learning"
           : options.statistics ? "quantized with statistics"
                                : "given a LoRA or another bias",
           format.name());
    }
    ++quantized;
    if (first_layer.empty()) first_layer = formats::base_name(decision.tensor);
    const auto* layer_of_input = stored.find(decision.tensor);  // where the weight is quantized already
    const Shape& shape = layer_of_input != nullptr ? layer_of_input->readable->shape : model.find(decision.tensor)->info.shape;
    const std::string layer = formats::base_name(decision.tensor);
    LearnRecipe recipe{
        .seed = seed_of(options.seed, decision.tensor), .bias_correction = options.bias_correction, .lora_rank = options.lora_rank};
    if (options.statistics && shape.size() == 2) recipe.statistics = find_statistics(*options.statistics, layer, shape[1]);
    if (options.statistics && recipe.statistics.empty()) without.push_back(layer);
    if (options.learn) {
      set_method(recipe, *options.learn, options.statistics.has_value());
      if (recipe.method == LearnMethod::nearest && !recipe.statistics.empty()) ++without_moments;
    }
    check_scales(decision, recipe);
    if (recipe.bias_correction == BiasCorrection::synthetic || recipe.statistics.mean) ++means;
    const bool has_mean = recipe.bias_correction == BiasCorrection::synthetic || recipe.statistics.mean;
    if (recipe.bias_correction != BiasCorrection::none && has_mean) {
      if (const ModelTensor* bias = bias_of(model, by_name, layer, shape[0])) recipe.bias = *bias;
    }
    if (recipe.bias) biases_.insert(recipe.bias->info.name);
    const bool is_nearest = recipe.method == LearnMethod::nearest && recipe.statistics.empty() && !recipe.bias && recipe.lora_rank == 0;
    if (!is_nearest) recipes_.emplace(decision.tensor, recipe);
  }
  if (quantized > 0 && without.size() == quantized && !options.allow_unused) {
    fail(ErrorKind::bad_statistics, "'{}' has nothing of any quantized layer: no tensor such as '{}.second_moment'; --allow-unused goes on",
         options.statistics->path.string(), first_layer);
  }
  if (!without.empty()) {
    notes_.push_back(fmt::format("the statistics have nothing of {} of {}, {}: {} rounded as without them", without.size(),
                                 base::counted(quantized, "quantized layer"), first_of(without),
                                 without.size() == 1 ? "it is" : "they are"));
  }
  if (without_moments > 0 && options.learn) {
    notes_.push_back(fmt::format("{} no second moments in the statistics: {} rounded to nearest with what is there",
                                 without_moments == 1 ? "1 layer has" : fmt::format("{} layers have", without_moments),
                                 without_moments == 1 ? "it is" : "they are"));
  }
  if (options.lora_rank > 0 && quantized == 0) notes_.emplace_back("no LoRA is written: there is no error to correct");
  if (options.bias_correction != BiasCorrection::none && biases_.empty() && quantized > 0) {
    notes_.emplace_back(means == 0
                            ? "no bias is corrected: the statistics have the mean input of no quantized layer"
                            : "no bias is corrected: no quantized layer with a known mean input has one, of an element for each row");
  }
}

const LearnRecipe* Learning::recipe(const std::string& tensor) const {
  const auto found = recipes_.find(tensor);
  return found == recipes_.end() ? nullptr : &found->second;
}

void check_learn_options(const PlanOptions& options) {
  if (options.bias_correction == BiasCorrection::stats && !options.statistics) {
    fail(ErrorKind::usage, "--bias-correction stats needs --stats");
  }
  if (options.statistics && !options.learn && options.bias_correction != BiasCorrection::stats &&
      options.spec.scales != ScaleMethod::search && options.lora_rank == 0 && options.rotation == Rotation::always) {
    fail(ErrorKind::usage,
         "--stats has no effect without --rounding learned, --scales search, --bias-correction stats, --extract-lora or --rotation auto");
  }
  if (!options.learn) return;
  const LearnOptions& learn = *options.learn;
  if (learn.method == LearnMethod::optimizer) check_schedule(learn.optimizer.schedule);
  const bool heeds_statistics = !learn.method || uses_moments(*learn.method) || options.bias_correction == BiasCorrection::stats ||
                                options.spec.scales == ScaleMethod::search || options.lora_rank != 0 ||
                                options.rotation == Rotation::automatic;
  if (options.statistics && !heeds_statistics) {
    fail(ErrorKind::usage,
         "--stats has no effect on --learn-method {} without --scales search, --bias-correction stats, --extract-lora or --rotation auto",
         name_of(*learn.method));
  }
  if (learn.prior_weights && learn.method && !uses_moments(*learn.method)) {
    fail(ErrorKind::usage, "--prior weights has no effect on --learn-method other than {}", methods_with_moments());
  }
  if (learn.method && uses_moments(*learn.method) && !options.statistics && !learn.prior_weights) {
    fail(ErrorKind::usage,
         "--learn-method {} needs --stats, or --prior weights to take the weights themselves for statistics, which often does harm",
         name_of(*learn.method));
  }
}

}  // namespace halftone::plan
