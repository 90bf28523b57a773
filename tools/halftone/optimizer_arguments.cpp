#include "optimizer_arguments.hpp"

#include <array>

#include "choose.hpp"
#include "not_negative.hpp"

namespace halftone::tool {
namespace {

using Schedule = LearningSchedule;

/// A number of a schedule: its option, and who listens to it.
template <class Number>
struct ScheduleNumber {
  const char* option;
  const char* type_name;
  const char* help;
  std::optional<Number> OptimizerArguments::*given;
  Number ScheduleOptions::*target;
  std::initializer_list<Schedule> listeners;
};

const ScheduleNumber<double> kRates[] = {
    {"--learning-rate",
     "RATE",
     "of the first iteration",
     &OptimizerArguments::rate,
     &ScheduleOptions::rate,
     {Schedule::adaptive, Schedule::cosine, Schedule::exponential, Schedule::plateau}},
    {"--rate-gamma",
     "F",
     "exponential: what the rate is multiplied with",
     &OptimizerArguments::gamma,
     &ScheduleOptions::gamma,
     {Schedule::exponential}},
    {"--rate-factor",
     "F",
     "plateau, cosine: the same",
     &OptimizerArguments::factor,
     &ScheduleOptions::factor,
     {Schedule::plateau, Schedule::cosine}},
    {"--rate-min",
     "RATE",
     "plateau, exponential: where the rate ends",
     &OptimizerArguments::smallest_rate,
     &ScheduleOptions::smallest_rate,
     {Schedule::plateau, Schedule::exponential}},
    {"--rate-shape",
     "F",
     "plateau: how much an oblong weight lowers the factor",
     &OptimizerArguments::shape_influence,
     &ScheduleOptions::shape_influence,
     {Schedule::plateau}},
};

const ScheduleNumber<std::uint32_t> kCounts[] = {
    {"--iterations",
     "N",
     "at most",
     &OptimizerArguments::iterations,
     &ScheduleOptions::iterations,
     {Schedule::adaptive, Schedule::cosine, Schedule::exponential, Schedule::plateau}},
    {"--rate-patience",
     "N",
     "plateau: iterations without improvement before the rate falls",
     &OptimizerArguments::patience,
     &ScheduleOptions::patience,
     {Schedule::plateau}},
    {"--rate-cooldown",
     "N",
     "plateau: iterations after that in which it does not; cosine: between falls",
     &OptimizerArguments::cooldown,
     &ScheduleOptions::cooldown,
     {Schedule::plateau, Schedule::cosine}},
};

bool heeds(std::initializer_list<Schedule> listeners, Schedule schedule) {
  return std::find(listeners.begin(), listeners.end(), schedule) != listeners.end();
}

/// Of every schedule.
template <class Number>
struct StopNumber {
  const char* option;
  const char* type_name;
  const char* help;
  std::optional<Number> OptimizerArguments::*given;
  Number StopRule::*target;
};

const StopNumber<double> kStopBounds[] = {
    {"--stop-loss", "LOSS", "stop at such a loss", &OptimizerArguments::stop_loss, &StopRule::loss},
    {"--stop-rate", "RATE", "stop at such a learning rate", &OptimizerArguments::stop_rate, &StopRule::rate},
};
const StopNumber<std::uint32_t> kStopCounts[] = {
    {"--stop-stall", "N", "stop after so many iterations without improvement", &OptimizerArguments::stop_stall, &StopRule::stall},
};

struct Word {
  const char* option;
  std::optional<std::string> OptimizerArguments::*given;
};
constexpr Word kWords[] = {{"--optimizer", &OptimizerArguments::optimizer},
                           {"--prodigy", &OptimizerArguments::variant},
                           {"--loss", &OptimizerArguments::loss},
                           {"--scale-optimization", &OptimizerArguments::scales},
                           {"--schedule", &OptimizerArguments::schedule}};

const std::map<std::string, Schedule>& schedules() {
  static const std::map<std::string, Schedule> names = {
#define HALFTONE_SCHEDULE(name, summary) {#name, Schedule::name},
#include <halftone/learning_schedule.def>
#undef HALFTONE_SCHEDULE
  };
  return names;
}

const std::map<std::string, Optimizer>& optimizers() {
  static const std::map<std::string, Optimizer> names = {
#define HALFTONE_OPTIMIZER(name, type, summary) {#name, Optimizer::name},
#include <halftone/optimizer.def>
#undef HALFTONE_OPTIMIZER
  };
  return names;
}

const std::map<std::string, ScaleOptimization>& scale_optimizations() {
  static const std::map<std::string, ScaleOptimization> names = {
#define HALFTONE_SCALE_OPTIMIZATION(name, summary) {#name, ScaleOptimization::name},
#include <halftone/scale_optimization.def>
#undef HALFTONE_SCALE_OPTIMIZATION
  };
  return names;
}

/// Whether --loss means the whole error.
const std::map<std::string, bool>& losses() {
  static const std::map<std::string, bool> names = {{"svd", false}, {"full", true}};
  return names;
}

/// "1e-8", without the zeros that fmt puts into an exponent.
std::string text_of(double number) {
  std::string text = fmt::format("{}", number);
  if (const std::size_t at = text.find("e-0"); at != std::string::npos) text.erase(at + 2, 1);
  return text;
}
std::string text_of(std::uint32_t number) { return std::to_string(number); }

/// " (default 1, adaptive: 0.0080773)"
template <class Number>
std::string default_of(const ScheduleNumber<Number>& number) {
  const std::string usual = text_of(ScheduleOptions().*number.target);
  const std::string adaptive = text_of(december_2025_schedule().*number.target);
  const bool differs = adaptive != usual && heeds(number.listeners, Schedule::adaptive);
  return differs ? fmt::format(" (default {}, adaptive: {})", usual, adaptive) : fmt::format(" (default {})", usual);
}
template <class Number>
std::string default_of(const StopNumber<Number>& number) {
  return fmt::format(" (default {}, adaptive: {})", text_of(StopRule().*number.target),
                     text_of(december_2025_schedule().stop.*number.target));
}

template <class Numbers>
void add_numbers(CLI::App& command, OptimizerArguments& arguments, const char* group, const Numbers& numbers) {
  for (const auto& number : numbers) {
    command.add_option(number.option, arguments.*number.given, number.help + default_of(number))
        ->type_name(number.type_name)
        ->check(not_negative())
        ->group(group);
  }
}

template <class Number>
const char* first_given(const OptimizerArguments& arguments, const Number& numbers) {
  for (const auto& number : numbers) {
    if (arguments.*number.given) return number.option;
  }
  return nullptr;
}

/// Sets what is given, where `schedule` listens to it.
template <class Numbers>
void set_numbers(const OptimizerArguments& arguments, const Numbers& numbers, ScheduleOptions& options) {
  for (const auto& number : numbers) {
    if (!(arguments.*number.given)) continue;
    if (!heeds(number.listeners, options.schedule)) {
      fail(ErrorKind::usage, "{} has no effect on --schedule {}", number.option, word_for(schedules(), options.schedule));
    }
    options.*number.target = *(arguments.*number.given);
  }
}

}  // namespace

void OptimizerArguments::add_to(CLI::App& command) {
  constexpr const char* group = "With --learn-method optimizer";
  const OptimizerSettings usual;
  command
      .add_option("--optimizer", optimizer,
                  fmt::format("{} (default {})", joined_words(optimizers()), word_for(optimizers(), usual.optimizer)))
      ->type_name("NAME")
      ->group(group);
  command.add_option("--prodigy", variant, "speed, or schedule-free: a variant of prodigy")->type_name("VARIANT")->group(group);
  command
      .add_option(
          "--loss", loss,
          fmt::format("svd, or full: the whole error instead of the part in the basis (default {})", word_for(losses(), usual.full_loss)))
      ->type_name("LOSS")
      ->group(group);
  command
      .add_option("--scale-optimization", scales,
                  fmt::format("what becomes of the scales: {} (default {})", joined_words(scale_optimizations()),
                              word_for(scale_optimizations(), usual.scales)))
      ->type_name("NAME")
      ->group(group);
  command.add_option("--scale-rounds", scale_rounds, fmt::format("iterative: how often scales move (default {})", usual.scale_rounds))
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->group(group);
  command
      .add_option(
          "--schedule", schedule,
          fmt::format("of the learning rate: {} (default {})", joined_words(schedules()), word_for(schedules(), usual.schedule.schedule)))
      ->type_name("NAME")
      ->group(group);
  add_numbers(command, *this, group, kCounts);
  add_numbers(command, *this, group, kRates);
  add_numbers(command, *this, group, kStopBounds);
  add_numbers(command, *this, group, kStopCounts);
}

const char* OptimizerArguments::given() const {
  for (const Word& word : kWords) {
    if (this->*word.given) return word.option;
  }
  if (scale_rounds) return "--scale-rounds";
  for (const char* option :
       {first_given(*this, kCounts), first_given(*this, kRates), first_given(*this, kStopBounds), first_given(*this, kStopCounts)}) {
    if (option != nullptr) return option;
  }
  return nullptr;
}

ScheduleOptions OptimizerArguments::schedule_options() const {
  const Schedule chosen = schedule ? choose(schedules(), *schedule, "--schedule") : ScheduleOptions().schedule;
  ScheduleOptions options = chosen == Schedule::adaptive ? december_2025_schedule() : ScheduleOptions{.schedule = chosen};
  set_numbers(*this, kRates, options);
  set_numbers(*this, kCounts, options);
  for (const auto& bound : kStopBounds) {
    if (this->*bound.given) options.stop.*bound.target = *(this->*bound.given);
  }
  for (const auto& count : kStopCounts) {
    if (this->*count.given) options.stop.*count.target = *(this->*count.given);
  }
  return options;
}

OptimizerSettings OptimizerArguments::settings() const {
  static const std::map<std::string, OptimizerVariant> variants = {{"speed", {.speed = true}}, {"schedule-free", {.schedule_free = true}}};
  OptimizerSettings settings{.schedule = schedule_options()};
  if (optimizer) settings.optimizer = choose(optimizers(), *optimizer, "--optimizer");
  if (variant) settings.variant = choose(variants, *variant, "--prodigy");
  if (scales) settings.scales = choose(scale_optimizations(), *scales, "--scale-optimization");
  if (scale_rounds) settings.scale_rounds = *scale_rounds;
  if (scale_rounds && settings.scales != ScaleOptimization::iterative) {
    fail(ErrorKind::usage, "--scale-rounds has no effect without --scale-optimization iterative");
  }
  if (loss) settings.full_loss = choose(losses(), *loss, "--loss");
  if (variant && !has_variants(settings.optimizer)) {
    fail(ErrorKind::usage, "--prodigy {} has no effect on --optimizer {}", *variant, *optimizer);
  }
  return settings;
}

}  // namespace halftone::tool
