#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <halftone/convert.hpp>

#include "learn_arguments.hpp"

namespace halftone::tool {

/// The words of a list with commas.
[[nodiscard]] std::vector<std::string> split(const std::string& list);

/// The input's name without what marks it as safetensors or as an index.
[[nodiscard]] std::string stem_of(const std::filesystem::path& input);

/// The path of the input by which outputs beside it are named: a folder's name need not be in the text ("..").
[[nodiscard]] std::filesystem::path named_input(const std::filesystem::path& input);

/// "nf4 and fp4": the formats that `--container` is for, for help texts.
[[nodiscard]] std::string formats_with_bnb_form();

/// The loader that `--target` names.  Throws usage.
[[nodiscard]] Target target_named(const std::string& word);

/// Options of every command that writes a model.
struct RunArguments {
  std::string input;
  std::string output;
  bool output_given = false;
  std::string device = "auto";
  unsigned threads = 0;
  std::string memory = "1GiB";
  std::string device_memory;
  bool force = false;

  /// The options of files, threads and memory.  `suffix` is what the default name of the output ends in, as the
  /// help shows it.
  void add_files_to(CLI::App& command, const std::string& suffix);
  /// The same, and the options of devices.
  void add_to(CLI::App& command, const std::string& suffix);
  /// Throws usage, or device for a device that is not there.
  [[nodiscard]] RunOptions run_options() const;
  /// The output's path: the option's, or `<stem>-<suffix>.safetensors` beside the input.
  [[nodiscard]] std::filesystem::path output_path(const std::string& suffix) const;
};

/// The options of convert and plan, as text.
struct ConversionArguments {
  RunArguments run;
  std::string format;               ///< empty: not given
  std::optional<std::string> like;  ///< a path
  std::uint32_t block_size = 0;
  std::uint32_t rotation_group = 0;
  std::uint32_t group_size = 0;
  std::string rotation = "always";
  std::string container;    ///< empty: not given
  std::string indivisible;  ///< empty: not given
  std::string preset = "auto";
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::string heuristic;  ///< empty: not given
  std::vector<std::string> rules_files;
  bool allow_unused = false;
  std::string scales = "absmax";
  std::string target = "comfyui";
  std::optional<std::string> shard_size;
  bool quant_metadata = false;
  bool input_scale = false;
  bool full_precision_mm = false;
  bool double_quant = false;
  bool verify = false;
  LearnArguments learn;
  std::optional<std::string> lora_output;  ///< a path
  bool resume = false;

  void add_to(CLI::App& command);
  /// Throws usage, bad_rules, io (a rules file that cannot be read), unsupported.
  [[nodiscard]] PlanOptions plan_options() const;
  /// The output's path.  Throws usage.
  [[nodiscard]] std::filesystem::path output_path() const;

  /// How it is run: the options of RunArguments, and which files stay.  Throws usage.
  [[nodiscard]] RunOptions run_options() const;
  /// Where a LoRA goes: the option's path, or the output's with "-lora".  Throws usage.
  [[nodiscard]] std::filesystem::path lora_path() const;
  /// Adds a note to the plan of an output without LoRA where a file has the name of its LoRA.
  void note_old_lora(Plan& plan) const;

 private:
  [[nodiscard]] std::filesystem::path default_lora_path() const;
  /// The format of --format, or null.  Throws usage.
  [[nodiscard]] const FormatDescriptor* chosen_format() const;
};

/// The options given to `command` that decide its plan, as they were written.
[[nodiscard]] std::vector<NamedOption> deciding_options(const CLI::App& command);

}  // namespace halftone::tool
