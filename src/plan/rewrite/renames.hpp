#pragma once

#include <halftone/edit.hpp>

#include "plan/rewrite/rewrite.hpp"

namespace halftone::plan {

/// Decides which tensors are dropped, and what the others are called.
/// Throws unused_rule, bad_rules, and usage for names that no file can have or that two tensors would share.
void rename_tensors(Rewrite& rewrite, const ModelIndex& model, const EditOptions& options);

/// Holds the tensors of each quantized layer together: those of a layer whose weight is dropped go with it.
/// Throws usage where a layer would lose a tensor, or its tensors would no longer be found by its name.
void keep_layers_whole(Rewrite& rewrite, const ModelIndex& model, const std::vector<formats::QuantizedLayer>& layers);

/// Throws usage where a tensor gets a name by which it belongs to a weight that it did not belong to: loaders would take it
/// for a scale or label of that weight.
void keep_strangers_apart(Rewrite& rewrite, const ModelIndex& model);

/// What the layers, by base name, are called afterwards; nothing for those that are dropped.
[[nodiscard]] std::map<std::string, std::optional<std::string>> renamed_layers(Rewrite& rewrite, const ModelIndex& model);

}  // namespace halftone::plan
