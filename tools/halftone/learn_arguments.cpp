#include "learn_arguments.hpp"

#include <cmath>
#include <utility>

#include "choose.hpp"
#include "not_negative.hpp"

namespace halftone::tool {

void LearnArguments::add_to(CLI::App& command) {
  command.add_option("--rounding", rounding, "nearest, or learned: which way each weight is rounded is chosen (default nearest)")
      ->type_name("METHOD");
  command.add_option("--bias-correction", bias_correction, "none, stats, or synthetic (default none)")->type_name("METHOD");
  command.add_option("--stats", statistics, "statistics of the layers' inputs, a safetensors file")->type_name("FILE");
  command.add_option("--seed", seed, "of what is random in learned rounding")->type_name("N")->check(not_negative());
  command.add_option("--learn-method", method, "project, feedback, closed or optimizer (default: feedback with --stats, else project)")
      ->type_name("METHOD");
  command.add_option("--effort", effort, "fast, default or best")->type_name("EFFORT");
  command.add_option("--prior", prior, "weights: feedback takes WᵀW for statistics that are not there; often does harm")
      ->type_name("PRIOR");
  command.add_option("--top-p", top_p, "singular vectors, part of the smaller dimension (default 0.2)")
      ->type_name("P")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--min-k", min_k, "at least so many of them (default 256)")->type_name("K")->check(CLI::Range(1, 1 << 20));
  command.add_option("--max-k", max_k, "at most so many of them (default 1280)")->type_name("K")->check(CLI::Range(1, 1 << 20));
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
  static const std::map<std::string, LearnMethod> methods = [] {
    std::map<std::string, LearnMethod> named;
#define HALFTONE_LEARN_METHOD(name, meaning) named.emplace(#name, LearnMethod::name);
#include <halftone/learn_method.def>
#undef HALFTONE_LEARN_METHOD
    named.erase("nearest");  // that is --rounding nearest
    return named;
  }();
  static const std::map<std::string, Effort> efforts = {{"fast", Effort::fast}, {"default", Effort::usual}, {"best", Effort::best}};
  static const std::map<std::string, bool> priors = {{"weights", true}};
  LearnOptions options;
  if (method) options.method = choose(methods, *method, "--learn-method");
  if (effort) options.effort = choose(efforts, *effort, "--effort");
  if (prior) options.prior_weights = choose(priors, *prior, "--prior");
  if (prior && !method) options.method = LearnMethod::feedback;
  if (top_p) options.rank.top_p = *top_p;
  if (min_k) options.rank.min_k = *min_k;
  if (max_k) options.rank.max_k = *max_k;
  if (options.rank.min_k > options.rank.max_k) {
    fail(ErrorKind::usage, "--min-k {} is larger than --max-k {}", options.rank.min_k, options.rank.max_k);
  }
  refuse_without_effect(options.method ? *options.method == LearnMethod::feedback : statistics.has_value());
  options.damping = damping;
  options.mse_budget = mse_budget;
  if (options.method == LearnMethod::optimizer) {
    options.optimizer = optimizer.settings();
  } else if (const char* option = optimizer.given()) {
    fail(ErrorKind::usage, "{} has no effect without --learn-method optimizer", option);
  }
  return options;
}

/// `feeds_back`: the method of layers is feedback.
void LearnArguments::refuse_without_effect(bool feeds_back) const {
  const auto refuse = [](bool given, const char* option, const char* where) {
    if (given) fail(ErrorKind::usage, "{} has no effect on {}", option, where);
  };
  refuse(top_p && feeds_back, "--top-p", "--learn-method feedback");
  refuse(min_k && feeds_back, "--min-k", "--learn-method feedback");
  refuse(max_k && feeds_back, "--max-k", "--learn-method feedback");
  refuse(damping && !feeds_back && !(lora_rank && statistics), "--damping", "a method without second moments");
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
