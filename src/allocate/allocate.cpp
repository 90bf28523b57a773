#include "allocate/allocate.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "allocate/candidates.hpp"
#include "allocate/goal.hpp"
#include "allocate/layer_errors.hpp"
#include "allocate/layer_moments.hpp"
#include "allocate/rules_text.hpp"
#include "base/fail.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "formats/layer_names.hpp"

namespace halftone::allocate {
namespace {

/// How often a choice is made anew where the last one was larger than estimated; from half of them on in larger steps.
constexpr int kMostRounds = 40;
/// What the estimate of a header may be above the truth: blanks at its end, and a digit of each offset for a layer.
constexpr std::uint64_t kHeaderSlack = 16;
constexpr std::uint64_t kLayerSlack = 2;

/// What measuring needs.
struct Sources {
  const eval::FloatModel& model;
  const StatisticsFile* statistics;  ///< null without
  const Backend& backend;
  const RunControl& control;
};

/// A layer that stays as it is; `figures` are those of its values against themselves.
AllocationCandidate unchanged(const LayerCandidates& layer, const ErrorFigures& figures) {
  return {layer.stored_as, true, layer.kept_bytes, figures, 0};
}

/// What measuring a layer tells besides the errors.
struct Measured {
  std::optional<double> mean_square;             ///< of its inputs, where that is known
  std::vector<const FormatDescriptor*> refused;  ///< that do not hold its values
};

/// Measures one layer into `result`, and takes away the formats that a conversion would refuse.
Measured measure_layer(const Sources& from, LayerCandidates& candidates, bool keep, AllocatedLayer& result) {
  const ModelTensor& weight = *candidates.weight;
  const LayerMoments moments(from.model, weight, from.statistics, from.backend, from.control);
  const auto whole = [&](const QuantSpec& spec, float amax) { return moments.restore(spec, amax); };
  const LayerErrors errors = measure(from.model, weight, from.backend, candidates.specs, moments.moments(), from.control.stop, whole);
  result.name = weight.info.name;
  result.has_statistics = moments.are_known();
  result.output_signal = errors.output_signal;
  Measured measured{.mean_square = moments.mean_square(), .refused = {}};
  for (std::size_t i = 0, k = 0; i < errors.of_specs.size(); ++i) {
    const SpecError& error = errors.of_specs[i];
    if (error.is_refused) {
      measured.refused.push_back(candidates.specs[k].format);
      candidates.remove(k);
      continue;
    }
    result.candidates.push_back({candidates.specs[k].format, false, candidates.bytes[k], error.figures, error.output_noise});
    ++k;
  }
  if (keep || candidates.stored_as != nullptr) result.candidates.push_back(unchanged(candidates, errors.signal));
  if (result.candidates.empty()) candidates.kept_because = "allocated: no format holds its values";
  return measured;
}

/// Says which formats were no choice for which layers.
void note_refused(const std::vector<LayerCandidates>& candidates, const std::vector<Measured>& measured, Allocation& result) {
  struct Refusals {
    std::string first;
    std::size_t n = 0;
  };
  std::map<std::string_view, Refusals> by_format;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    for (const FormatDescriptor* format : measured[i].refused) {
      Refusals& refusals = by_format[format->name()];
      if (refusals.n++ == 0) refusals.first = candidates[i].weight->info.name;
    }
  }
  for (const auto& [format, refusals] : by_format) {
    result.notes.push_back(fmt::format("{} is no choice for '{}'{}, whose values it does not hold", format, refusals.first,
                                       refusals.n == 1 ? "" : fmt::format(" and {}", base::counted(refusals.n - 1, "more layer"))));
  }
}

/// Moves the layers that no candidate is left for to those that are kept.
void keep_what_has_no_choice(std::vector<LayerCandidates>& candidates, std::vector<LayerCandidates>& kept, Allocation& result) {
  std::vector<LayerCandidates> left;
  std::vector<AllocatedLayer> layers;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const bool has_choice = !result.layers[i].candidates.empty();
    (has_choice ? left : kept).push_back(std::move(candidates[i]));
    if (has_choice) layers.push_back(std::move(result.layers[i]));
  }
  candidates = std::move(left);
  result.layers = std::move(layers);
}

/// Layers without statistics are taken to have uncorrelated inputs of the mean square that the others have.
void fill_gaps(const std::vector<Measured>& measured, const Statistics& statistics, Allocation& result) {
  double sum = 0;
  std::size_t known = 0;
  for (const Measured& layer : measured) {
    if (!layer.mean_square) continue;
    sum += *layer.mean_square;
    ++known;
  }
  if (known == 0 && !result.layers.empty()) {
    fail(ErrorKind::bad_statistics,
         "'{0}' has nothing of a layer that would be quantized: no tensor such as '{1}.second_moment' or '{1}.diag'",
         statistics.path.string(), formats::base_name(result.layers.front().name));
  }
  const double factor = sum / static_cast<double>(std::max<std::size_t>(known, 1));
  for (AllocatedLayer& layer : result.layers) {
    if (layer.has_statistics) continue;
    layer.output_signal *= factor;
    for (AllocationCandidate& candidate : layer.candidates) candidate.output_noise *= factor;
  }
  if (known < measured.size()) {
    result.notes.push_back(fmt::format("the statistics have nothing of {} of {}: inputs without correlation are assumed there",
                                       measured.size() - known, base::counted(measured.size(), "layer")));
  }
}

std::vector<std::string> names_of(const std::vector<const FormatDescriptor*>& formats) {
  std::vector<std::string> names;
  for (const FormatDescriptor* format : formats) names.emplace_back(format->name());
  return names;
}

/// Chooses, writes the rules and plans with them; where the goal is a size, again until the plan keeps it.
class Chooser {
 public:
  Chooser(const Sources& from, const AllocateOptions& options, const std::vector<LayerCandidates>& kept, const Goal& goal,
          Allocation& result)
      : from_(from), texts_(from.model.files().side_texts()), options_(options), kept_(kept), goal_(goal), result_(result) {}

  void run() {
    const auto problem = goal_.problem();
    if (!goal_.is_size()) {
      const auto choice = choose(problem, goal_.limit(0));
      if (!choice) refuse_noise(problem);
      take(*choice);
      result_.reached = goal_.in_unit(goal_.relative_noise(choice->options));
      return;
    }
    // What is left of the size when the layers are taken away is known from a plan.  Sizes are estimates: the first choices
    // may be too large, and then each is smaller than the one before.
    double limit = goal_.limit(fixed_bytes(cheapest(problem))) + static_cast<double>(kHeaderSlack + kLayerSlack * problem.size());
    for (int round = 0; round < kMostRounds; ++round) {
      const auto choice = choose(problem, limit);
      if (!choice) refuse_size(problem);
      take(*choice);
      const std::uint64_t bytes = result_.plan.output_bytes();
      result_.reached = static_cast<double>(bytes);
      if (bytes <= *options_.target_bytes) return;
      limit = choice->cost - (round < kMostRounds / 2 ? 1 : static_cast<double>(bytes - *options_.target_bytes));
    }
    refuse_size(problem);
  }

 private:
  void take(const Choice& choice) {
    for (std::size_t i = 0; i < choice.options.size(); ++i) result_.layers[i].chosen = choice.options[i];
    result_.is_best = choice.is_best;
    result_.gap = choice.is_best || choice.loss == 0 ? 0 : (choice.loss - choice.least_loss) / choice.loss;
    plan();
  }

  void plan() {
    result_.rules = rules_text(result_.layers, kept_);
    PlanOptions options = options_.plan;
    options.spec = {.format = options_.formats.front()};
    options.rules = parse_rules(result_.rules, "allocation");
    choose_scales(options);
    result_.plan = build_plan(from_.model.files().index(), texts_, options);
  }

  /// A conversion refuses a search, and statistics, that would have no effect.
  void choose_scales(PlanOptions& options) {
    bool can_search = can_search_scales(*options.spec.format);
    bool has_statistics = false;
    for (const AllocatedLayer& layer : result_.layers) {
      if (layer.choice().is_unchanged) continue;
      can_search = can_search || can_search_scales(*layer.choice().format);
      has_statistics = has_statistics || layer.has_statistics;
    }
    result_.scales = can_search ? options_.scales : ScaleMethod::absmax;
    options.spec.scales = result_.scales;
    result_.search_heeds_statistics = result_.scales == ScaleMethod::search && has_statistics;
    if (result_.search_heeds_statistics) options.statistics = from_.statistics->statistics;
  }

  /// Bytes of everything but the layers, where `chosen` is taken.
  std::uint64_t fixed_bytes(const std::vector<std::size_t>& chosen) {
    for (std::size_t i = 0; i < chosen.size(); ++i) result_.layers[i].chosen = chosen[i];
    plan();
    const std::uint64_t all = result_.plan.output_bytes();
    return all - std::min(all, goal_.bytes_of(chosen));
  }

  static std::vector<std::size_t> cheapest(const std::vector<std::vector<Option>>& problem) {
    std::vector<std::size_t> chosen;
    for (const auto& layer : problem) {
      const auto least = std::min_element(layer.begin(), layer.end(), [](const Option& a, const Option& b) { return a.cost < b.cost; });
      chosen.push_back(static_cast<std::size_t>(least - layer.begin()));
    }
    return chosen;
  }

  [[noreturn]] void refuse_size(const std::vector<std::vector<Option>>& problem) {
    static_cast<void>(fixed_bytes(cheapest(problem)));
    fail(ErrorKind::unsupported, "no choice of {} is as small as {} bytes: the smallest output has {} bytes",
         base::joined_by_or(names_of(options_.formats)), *options_.target_bytes, result_.plan.output_bytes());
  }

  [[noreturn]] void refuse_noise(const std::vector<std::vector<Option>>& problem) const {
    const double noise = goal_.relative_noise(cheapest(problem));
    const std::string formats = base::joined_by_or(names_of(options_.formats));
    const char* hint = options_.keep ? "" : "; with 'keep' among the formats, layers may keep their precision";
    if (options_.min_sqnr_db) {
      fail(ErrorKind::unsupported, "no choice of {} reaches {} dB: the best has {:.2f} dB{}", formats, *options_.min_sqnr_db,
           goal_.in_unit(noise), hint);
    }
    fail(ErrorKind::unsupported, "no choice of {} has an output error of at most {}: the best has {:.6g}{}", formats,
         *options_.max_output_error, goal_.in_unit(noise), hint);
  }

  const Sources& from_;
  SideTexts texts_;
  const AllocateOptions& options_;
  const std::vector<LayerCandidates>& kept_;
  const Goal& goal_;
  Allocation& result_;
};

void add_totals(const AllocateOptions& options, Allocation& result) {
  double noise = 0;
  double signal = 0;
  for (const AllocatedLayer& layer : result.layers) {
    if (layer.choice().is_unchanged) continue;
    result.total.add(layer.choice().figures);
    noise += layer.choice().output_noise;
    signal += layer.output_signal;
  }
  result.output_error = options.statistics.empty() ? result.total.rel_l2() : noise == 0 ? 0 : std::sqrt(noise / signal);
}

/// A format whose scales are fitted takes no statistics, so that no conversion would be what was measured.
void check_search(const AllocateOptions& options) {
  if (options.scales != ScaleMethod::search) return;
  if (std::none_of(options.formats.begin(), options.formats.end(), [](const auto* format) { return can_search_scales(*format); })) {
    fail(ErrorKind::usage, "--scales search gains nothing on {}", base::joined_by_or(names_of(options.formats)));
  }
  if (options.statistics.empty()) return;
  for (const FormatDescriptor* format : options.formats) {
    if (!format->storage().row_scales) continue;
    fail(ErrorKind::unsupported, "{} fits its scales by itself, and --scales search with --stats cannot be had beside it", format->name());
  }
}

/// What is said of layers that are quantized already, and of the conversion.
void add_notes(Allocation& result) {
  std::size_t n_kept = 0;
  for (const AllocatedLayer& layer : result.layers) n_kept += layer.choice().is_unchanged && layer.choice().format != nullptr ? 1U : 0U;
  if (n_kept != 0) {
    result.notes.push_back(fmt::format("{} as stored, in a format of --formats: errors are measured against the input, and {} none here",
                                       n_kept == 1 ? "1 layer stays" : fmt::format("{} layers stay", n_kept),
                                       n_kept == 1 ? "it has" : "they have"));
  }
  for (const std::string& note : result.plan.notes) {
    // The conversion may take the same statistics.
    if (std::find(result.notes.begin(), result.notes.end(), note) == result.notes.end()) result.notes.push_back(note);
  }
}

}  // namespace

Allocation allocate(const eval::FloatModel& model, const io::ModelFiles* statistics, const Backend& backend, const AllocateOptions& options,
                    const RunControl& control) {
  check_search(options);
  std::vector<LayerCandidates> kept;
  std::vector<LayerCandidates> candidates;
  for (LayerCandidates& layer : find_candidates(model.files().index(), model.files().side_texts(), options)) {
    (layer.specs.empty() && layer.stored_as == nullptr ? kept : candidates).push_back(std::move(layer));
  }
  Allocation result;
  result.layers.resize(candidates.size());
  std::optional<StatisticsFile> file;
  if (statistics != nullptr) file.emplace(statistics_file(*statistics, result.notes));
  const Sources from{model, file ? &*file : nullptr, backend, control};
  std::vector<Measured> measured(candidates.size());
  base::parallel_for(candidates.size(), options.threads,
                     [&](std::size_t i) { measured[i] = measure_layer(from, candidates[i], options.keep, result.layers[i]); });
  model.files().check();
  if (file) fill_gaps(measured, file->statistics, result);
  note_refused(candidates, measured, result);
  keep_what_has_no_choice(candidates, kept, result);
  const Goal goal(options, result.layers, candidates);
  Chooser(from, options, kept, goal, result).run();
  add_totals(options, result);
  add_notes(result);
  return result;
}

}  // namespace halftone::allocate
