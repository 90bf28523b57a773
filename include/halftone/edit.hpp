#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <halftone/convert.hpp>

namespace halftone {

/// A change of tensor names.
struct Renaming {
  std::string regex;        ///< RE2; every match in a name is replaced
  std::string replacement;  ///< with \1 … \9 for the groups of the expression
};

/// What to change of that which describes a file.  Names are decided in this order: drop, strip_prefix, rename, add_prefix.
/// Patterns of drop and of the flags are searched in the names of the input.
struct EditOptions {
  std::vector<std::pair<std::string, std::string>> set_metadata;
  std::vector<std::string> remove_metadata;
  std::vector<std::string> drop;  ///< RE2
  std::string strip_prefix;       ///< taken from the names that begin with it
  std::vector<Renaming> rename;   ///< one after the other
  std::string add_prefix;
  std::vector<std::string> full_precision_mm;  ///< RE2: layers that the loader multiplies in full precision
  std::vector<std::string> no_full_precision_mm;
};

/// Decides an edit.  Touches no file.
/// Throws usage, unused_rule, bad_rules, bad_quantization.
[[nodiscard]] Plan build_edit_plan(const ModelIndex& model, const SideTexts& texts, const EditOptions& options);

/// Reads the headers of the model at `input` and decides its edit; writes nothing.  Throws Error.
[[nodiscard]] Plan plan_edit(const std::filesystem::path& input, const EditOptions& options);

/// Writes the model at `input` with other names, labels and metadata; the bytes of its weights stay.  Throws Error.
RunReport edit(const std::filesystem::path& input, const std::filesystem::path& output, const EditOptions& options, const RunOptions& run,
               RunControl& control);

}  // namespace halftone
