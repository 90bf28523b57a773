#include "plan/rewrite/renames.hpp"

#include <algorithm>
#include <memory>
#include <unordered_map>

#include <re2/re2.h>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/layer_names.hpp"
#include "formats/stored_facts.hpp"
#include "formats/stored_layers.hpp"
#include "plan/patterns.hpp"

namespace halftone::plan {
namespace {

/// A `--rename`, compiled.
class Renamer {
 public:
  explicit Renamer(const Renaming& renaming) : renaming_(renaming) {
    RE2::Options options;
    options.set_log_errors(false);
    regex_ = std::make_unique<RE2>(renaming.regex, options);
    if (renaming.regex.empty()) fail(ErrorKind::usage, "--rename takes a regular expression, not an empty text");
    if (!regex_->ok()) fail(ErrorKind::bad_rules, "--rename: '{}' is no regular expression: {}", renaming.regex, regex_->error());
    std::string why;
    if (!regex_->CheckRewriteString(renaming.replacement, &why)) {
      fail(ErrorKind::bad_rules, "--rename: '{}' cannot replace '{}': {}", renaming.replacement, renaming.regex, why);
    }
  }

  void apply(std::string& name) { used_ = RE2::GlobalReplace(&name, *regex_, renaming_.replacement) > 0 || used_; }

  void require_used() const {
    if (!used_) fail(ErrorKind::unused_rule, "--rename regex '{}' matches no tensor", renaming_.regex);
  }

 private:
  const Renaming& renaming_;
  std::unique_ptr<RE2> regex_;
  bool used_ = false;
};

/// Throws usage where no file can hold a tensor called `name`.
void check_name(const std::string& tensor, const std::string& name) {
  const char* why = name.empty()             ? "which is empty"
                    : name == "__metadata__" ? "which is the header's name for the metadata"
                    : !base::is_utf8(name)   ? "which is no UTF-8"
                                             : nullptr;
  if (why != nullptr) fail(ErrorKind::usage, "the tensor '{}' would be called '{}', {}", tensor, name, why);
}

void check_unique(const std::vector<std::pair<std::string, std::string>>& names) {
  std::unordered_map<std::string_view, std::string_view> taken;
  for (const auto& [tensor, name] : names) {
    const auto [other, fresh] = taken.emplace(name, tensor);
    if (!fresh) fail(ErrorKind::usage, "the tensors '{}' and '{}' would both be called '{}'", other->second, tensor, name);
  }
}

}  // namespace

void rename_tensors(Rewrite& rewrite, const ModelIndex& model, const EditOptions& options) {
  Patterns drop(options.drop, "--drop");
  std::vector<Renamer> renamers(options.rename.begin(), options.rename.end());
  bool stripped = options.strip_prefix.empty();
  std::vector<std::pair<std::string, std::string>> names;
  for (const ModelTensor& tensor : model.tensors()) {
    const std::string& name = tensor.info.name;
    if (drop.match(name)) {
      rewrite.drop(name, "dropped by the user");
      continue;
    }
    Fate& fate = rewrite.of(name);
    if (!options.strip_prefix.empty() && name.starts_with(options.strip_prefix)) {
      fate.name.erase(0, options.strip_prefix.size());
      stripped = true;
    }
    for (Renamer& renamer : renamers) renamer.apply(fate.name);
    fate.name.insert(0, options.add_prefix);
    check_name(name, fate.name);
    names.emplace_back(name, fate.name);
    if (fate.name != name) fate.reason = "is called '" + fate.name + "' in the output";
  }
  drop.require_used("tensor");
  for (const Renamer& renamer : renamers) renamer.require_used();
  if (!stripped) fail(ErrorKind::unused_rule, "--strip-prefix: no tensor's name begins with '{}'", options.strip_prefix);
  check_unique(names);
}

namespace {

void keep_whole(Rewrite& rewrite, const formats::QuantizedLayer& layer) {
  const std::string& weight = layer.weight->info.name;
  const Fate& fate = rewrite.of(weight);
  if (fate.dropped) {
    for (const std::string& name : layer.companions) {
      if (!rewrite.of(name).dropped) rewrite.drop(name, "belongs to the layer '" + layer.base + "', which is dropped");
    }
    return;
  }
  if (!formats::has_suffix(fate.name, formats::kWeightSuffix)) {
    fail(ErrorKind::usage, "the quantized weight '{}' would be called '{}', without the '{}' by which loaders find it", weight, fate.name,
         formats::kWeightSuffix);
  }
  const std::string base = formats::base_name(fate.name);
  for (const std::string& name : layer.companions) {
    const Fate& companion = rewrite.of(name);
    if (companion.dropped) {
      fail(ErrorKind::usage, "--drop would take '{}' from the quantized layer '{}', whose weight '{}' stays", name, layer.base, weight);
    }
    const std::string expected = formats::joined(base, std::string_view(name).substr(layer.base.size()));
    if (companion.name == expected) continue;
    fail(ErrorKind::usage, "the quantized weight '{}' would be called '{}', and its '{}' would be called '{}', not '{}'", weight, fate.name,
         name, companion.name, expected);
  }
}

}  // namespace

void keep_layers_whole(Rewrite& rewrite, const ModelIndex& model, const std::vector<formats::QuantizedLayer>& layers) {
  for (const formats::QuantizedLayer& layer : layers) keep_whole(rewrite, layer);
  const auto legacy = std::find_if(layers.begin(), layers.end(), [&](const formats::QuantizedLayer& layer) {
    return formats::is_legacy_format(layer.format_text) && !rewrite.of(layer.weight->info.name).dropped;
  });
  if (legacy == layers.end()) return;
  for (const ModelTensor& tensor : model.tensors()) {
    const Fate& fate = rewrite.of(tensor.info.name);
    if (!formats::is_legacy_marker(tensor.info.name) || (!fate.dropped && formats::is_legacy_marker(fate.name))) continue;
    fail(ErrorKind::usage, "the tensor '{}' marks the older layout of the layer '{}', which stays: it can be neither dropped nor renamed",
         tensor.info.name, legacy->base);
  }
}

namespace {

/// The name of the weight that a tensor called `name` is a scale or label of; empty for other names.
std::string weight_of(const std::string& name) {
  const std::string base = formats::layer_of(name);
  std::string weight = formats::joined(base, formats::kWeightSuffix);
  return base == name || weight == name ? std::string() : weight;
}

}  // namespace

void keep_strangers_apart(Rewrite& rewrite, const ModelIndex& model) {
  std::unordered_map<std::string_view, const std::string*> weights;  // by their new names
  for (const ModelTensor& tensor : model.tensors()) {
    const Fate& fate = rewrite.of(tensor.info.name);
    if (!fate.dropped && formats::has_suffix(fate.name, formats::kWeightSuffix)) weights.emplace(fate.name, &tensor.info.name);
  }
  for (const ModelTensor& tensor : model.tensors()) {
    const Fate& fate = rewrite.of(tensor.info.name);
    if (fate.dropped) continue;
    const auto weight = weights.find(weight_of(fate.name));
    if (weight == weights.end() || weight_of(tensor.info.name) == *weight->second) continue;
    if (fate.name == tensor.info.name) {
      fail(ErrorKind::usage, "the tensor '{}' would be called '{}', to which '{}' would then belong", *weight->second, weight->first,
           tensor.info.name);
    }
    fail(ErrorKind::usage, "the tensor '{}' would be called '{}', by which it would belong to '{}'", tensor.info.name, fate.name,
         weight->first);
  }
}

std::map<std::string, std::optional<std::string>> renamed_layers(Rewrite& rewrite, const ModelIndex& model) {
  std::map<std::string, std::optional<std::string>> names;
  for (const ModelTensor& tensor : model.tensors()) {
    if (!formats::has_suffix(tensor.info.name, formats::kWeightSuffix)) continue;
    const Fate& fate = rewrite.of(tensor.info.name);
    const bool stays = !fate.dropped && formats::has_suffix(fate.name, formats::kWeightSuffix);
    names.emplace(formats::base_name(tensor.info.name), stays ? std::optional(formats::base_name(fate.name)) : std::nullopt);
  }
  return names;
}

}  // namespace halftone::plan
