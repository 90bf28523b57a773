#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <halftone/plan.hpp>

#include "io/output_file.hpp"

namespace halftone::api {

/// The path without links, as far as it exists.
[[nodiscard]] std::filesystem::path resolved(const std::filesystem::path& path);

/// `<output>.journal`, beside the partial file of the output or the shards of it.
[[nodiscard]] std::filesystem::path journal_path(const std::filesystem::path& output);

/// The files of the model that `plan` writes, without their folder; an index is the last.
[[nodiscard]] std::vector<std::string> names_of_model(const std::filesystem::path& output, const Plan& plan);

/// Throws same_file where a file of a run would take the name of another one, of its partial file or of the journal, or
/// where the journal is one of `inputs`.  Nothing is written before this.
void check_output_names(const Plan& plan, const std::filesystem::path& output, const std::filesystem::path& lora,
                        const std::vector<io::FileId>& inputs);

}  // namespace halftone::api
