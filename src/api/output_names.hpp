#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <halftone/convert.hpp>

#include "io/model_files.hpp"

namespace halftone::api {

/// `<output>.journal`, beside the partial file of the output or the shards of it.
[[nodiscard]] std::filesystem::path journal_path(const std::filesystem::path& output);

/// The files of the model that `plan` writes, without their folder; an index is the last.
[[nodiscard]] std::vector<std::string> names_of_model(const std::filesystem::path& output, const Plan& plan);

/// `run`, which also keeps the files of the example that `options` have.
[[nodiscard]] RunOptions keeping_example(const RunOptions& run, const PlanOptions& options);

/// The files that the output must not replace; `statistics` is null without.
[[nodiscard]] std::vector<io::FileId> kept_files(const io::ModelFiles& input, const io::ModelFiles* statistics, const RunOptions& options);

/// Throws same_file where a file of a run would take the name of another one, of a partial file, of the journal or of one
/// of `inputs`; and as io::check_folder_of.  Nothing is written before this.
void check_output_names(const Plan& plan, const std::filesystem::path& output, const std::filesystem::path& lora,
                        const std::vector<io::FileId>& inputs);

/// The same for a run that is not begun, of a plan that was made with `options`.
void check_planned_output(const Plan& plan, const std::filesystem::path& input, const std::filesystem::path& output,
                          const PlanOptions& options, const RunOptions& run);

}  // namespace halftone::api
