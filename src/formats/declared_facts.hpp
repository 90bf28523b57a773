#pragma once

#include <functional>
#include <map>
#include <string>

#include <halftone/error.hpp>
#include <halftone/model.hpp>

#include "formats/stored_facts.hpp"

namespace halftone::formats {

/// What is said of layers, by their names without ".weight".
using FactsByLayer = std::map<std::string, StoredFacts>;

/// Told which layer has a broken description ("" where that of the whole model is broken), and what is wrong
/// with it.  Where it returns, the layer counts as not described there.
using OnBroken = std::function<void(const std::string& layer, const Error& error)>;

/// Throws `error`.
[[noreturn]] void refuse_broken(const std::string& layer, const Error& error);

/// What the small tensors of a model say of its layers.
[[nodiscard]] FactsByLayer facts_of_tensors(const SideTexts& texts, const OnBroken& on_broken = refuse_broken);

/// What `_quantization_metadata` in the header says of them; nothing where there is no such entry, or one
/// without an object `layers`.
[[nodiscard]] FactsByLayer facts_of_header(const ModelIndex& model, const OnBroken& on_broken = refuse_broken);

}  // namespace halftone::formats
