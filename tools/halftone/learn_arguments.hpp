#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <halftone/plan.hpp>

#include "optimizer_arguments.hpp"

namespace halftone::tool {

/// The options of learned rounding, as text and numbers.
struct LearnArguments {
  std::string rounding = "nearest";
  std::string bias_correction = "none";
  std::optional<std::string> statistics;  ///< a path
  std::optional<std::string> method;
  std::optional<std::string> effort;
  std::optional<std::string> prior;
  std::optional<double> top_p;
  std::optional<std::uint64_t> min_k;
  std::optional<std::uint64_t> max_k;
  std::optional<double> damping;
  std::optional<double> mse_budget;
  std::optional<std::uint64_t> seed;
  OptimizerArguments optimizer;
  std::optional<std::uint64_t> lora_rank;

  void add_to(CLI::App& command);
  /// Sets what `options` says of learned rounding.  Throws usage; what read_statistics() does.
  void apply_to(PlanOptions& options) const;

 private:
  [[nodiscard]] LearnOptions learn_options() const;
  void refuse_without_learning() const;
  /// `chosen`: the method of layers that have what it needs.
  void refuse_without_effect(LearnMethod chosen) const;
};

}  // namespace halftone::tool
