#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <halftone/learn.hpp>

namespace halftone::tool {

/// The options of `--learn-method optimizer`, as text and numbers.
struct OptimizerArguments {
  std::optional<std::string> optimizer;
  std::optional<std::string> variant;
  std::optional<std::string> loss;
  std::optional<std::string> scales;
  std::optional<std::uint32_t> scale_rounds;
  std::optional<std::string> schedule;
  std::optional<std::uint32_t> iterations;
  std::optional<double> rate;
  std::optional<double> gamma;
  std::optional<double> factor;
  std::optional<double> smallest_rate;
  std::optional<std::uint32_t> patience;
  std::optional<std::uint32_t> cooldown;
  std::optional<double> shape_influence;
  std::optional<double> stop_loss;
  std::optional<double> stop_rate;
  std::optional<std::uint32_t> stop_stall;

  void add_to(CLI::App& command);
  /// Throws usage where an option is given that the others make useless.
  [[nodiscard]] OptimizerSettings settings() const;
  /// An option that is given, or null.
  [[nodiscard]] const char* given() const;

 private:
  [[nodiscard]] ScheduleOptions schedule_options() const;
};

}  // namespace halftone::tool
