#include "learn_arguments.hpp"

#include <cmath>
#include <utility>

#include "choose.hpp"
#include "not_negative.hpp"

namespace halftone::tool {
namespace {

/// The values of --learn-method; `nearest` is --rounding nearest.
const std::map<std::string, LearnMethod>& methods() {
  static const std::map<std::string, LearnMethod> named = [] {
    std::map<std::string, LearnMethod> names;
    for (const LearnMethod method : kLearnMethods) {
      if (method != LearnMethod::nearest) names.emplace(name_of(method), method);
    }
    return names;
  }();
  return named;
}

}  // namespace

void LearnArguments::add_to(CLI::App& command) {
  command
      .add_option("--rounding", rounding,
                  fmt::format("nearest, or learned: which way each weight is rounded is chosen (default {})", rounding))
      ->type_name("METHOD");
  command.add_option("--bias-correction", bias_correction, fmt::format("none, stats, or synthetic (default {})", bias_correction))
      ->type_name("METHOD");
  command.add_option("--stats", statistics, "statistics of the layers' inputs, a safetensors file")->type_name("FILE");
  command.add_option("--seed", seed, "of what is random in learned rounding")->type_name("N")->check(not_negative());
  command
      .add_option("--learn-method", method,
                  fmt::format("{} (default: {} with --stats, else {})", joined_words(methods()), name_of(default_method(true)),
                              name_of(default_method(false))))
      ->type_name("METHOD");
  command.add_option("--effort", effort, "fast, default or best")->type_name("EFFORT");
  command.add_option("--prior", prior, "weights: feedback takes WᵀW for statistics that are not there; often does harm")
      ->type_name("PRIOR");
  constexpr RankOptions rank;
  command.add_option("--top-p", top_p, fmt::format("singular vectors, part of the smaller dimension (default {})", rank.top_p))
      ->type_name("P")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--min-k", min_k, fmt::format("at least so many of them (default {})", rank.min_k))
      ->type_name("K")
      ->check(CLI::Range(1, 1 << 20));
  command.add_option("--max-k", max_k, fmt::format("at most so many of them (default {})", rank.max_k))
      ->type_name("K")
      ->check(CLI::Range(1, 1 << 20));
  command.add_option("--damping", damping, "of second moments, part of their mean diagonal (default: by their count)")
      ->type_name("D")
      ->check(CLI::Range(1e-6, 1e6));
  command.add_option("--mse-budget", mse_budget, "by what part the squared error may exceed that of nearest rounding")
      ->type_name("B")
      ->check(CLI::Range(0.0, 1e6));
  optimizer.add_to(command);
  command.add_option("--extract-lora", lora_rank, "write a LoRA of this rank of what each quantized layer lost")
      ->type_name("RANK")
      ->check(CLI::Range(1, 1 << 20));
}

LearnOptions LearnArguments::learn_options() const {
  static const std::map<std::string, Effort> efforts = {{"fast", Effort::fast}, {"default", Effort::usual}, {"best", Effort::best}};
  static const std::map<std::string, bool> priors = {{"weights", true}};
  LearnOptions options;
  if (method) options.method = choose(methods(), *method, "--learn-method");
  if (effort) options.effort = choose(efforts, *effort, "--effort");
  if (prior) options.prior_weights = choose(priors, *prior, "--prior");
  if (prior && !method) options.method = default_method(true);
  if (top_p) options.rank.top_p = *top_p;
  if (min_k) options.rank.min_k = *min_k;
  if (max_k) options.rank.max_k = *max_k;
  if (options.rank.min_k > options.rank.max_k) {
    fail(ErrorKind::usage, "--min-k {} is larger than --max-k {}", options.rank.min_k, options.rank.max_k);
  }
  refuse_without_effect(options.method.value_or(default_method(statistics.has_value())));
  options.damping = damping;
  options.mse_budget = mse_budget;
  if (options.method == LearnMethod::optimizer) {
    options.optimizer = optimizer.settings();
  } else if (const char* option = optimizer.given()) {
    fail(ErrorKind::usage, "{} has no effect without --learn-method optimizer", option);
  }
  return options;
}

void LearnArguments::refuse_without_effect(LearnMethod chosen) const {
  const auto refuse = [](bool given, const char* option, const std::string& where) {
    if (given) fail(ErrorKind::usage, "{} has no effect on {}", option, where);
  };
  const bool has_basis = needs_of(chosen) == LearnNeeds::basis;
  const std::string where = fmt::format("--learn-method {}", name_of(chosen));
  refuse(top_p && !has_basis, "--top-p", where);
  refuse(min_k && !has_basis, "--min-k", where);
  refuse(max_k && !has_basis, "--max-k", where);
  refuse(seed && !has_basis && bias_correction != "synthetic" && !lora_rank, "--seed", where);
  refuse(damping && !uses_moments(chosen) && !(lora_rank && statistics), "--damping", "a method without second moments");
  for (const auto& [value, option] : {std::pair{top_p, "--top-p"}, {damping, "--damping"}, {mse_budget, "--mse-budget"}}) {
    if (value && std::isnan(*value)) fail(ErrorKind::usage, "{} takes a number, not NaN", option);
  }
}

void LearnArguments::refuse_without_learning() const {
  const auto refuse = [](bool given, const char* option) {
    if (given) fail(ErrorKind::usage, "{} has no effect without --rounding learned", option);
  };
  refuse(method.has_value(), "--learn-method");
  refuse(effort.has_value(), "--effort");
  refuse(prior.has_value(), "--prior");
  refuse(top_p.has_value(), "--top-p");
  refuse(min_k.has_value(), "--min-k");
  refuse(max_k.has_value(), "--max-k");
  refuse(damping.has_value(), "--damping");
  refuse(mse_budget.has_value(), "--mse-budget");
  if (const char* option = optimizer.given()) refuse(true, option);
  refuse(seed.has_value() && bias_correction != "synthetic" && !lora_rank, "--seed");
}

void LearnArguments::apply_to(PlanOptions& options) const {
  static const std::map<std::string, bool> roundings = {{"nearest", false}, {"learned", true}};
  static const std::map<std::string, BiasCorrection> corrections = {
      {"none", BiasCorrection::none}, {"synthetic", BiasCorrection::synthetic}, {"stats", BiasCorrection::stats}};
  options.bias_correction = choose(corrections, bias_correction, "--bias-correction");
  if (choose(roundings, rounding, "--rounding")) {
    options.learn = learn_options();
  } else {
    refuse_without_learning();
  }
  if (seed) options.seed = *seed;
  options.lora_rank = lora_rank.value_or(0);
  if (statistics) options.statistics = read_statistics(*statistics);
}

}  // namespace halftone::tool
