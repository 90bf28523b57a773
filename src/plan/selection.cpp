#include "plan/selection.hpp"

#include <algorithm>

#include <halftone/preset.hpp>

#include "base/fail.hpp"
#include "formats/layer_names.hpp"
#include "formats/quant_spec.hpp"
#include "plan/constraints.hpp"
#include "plan/patterns.hpp"
#include "plan/rotation.hpp"
#include "plan/second_generation.hpp"

namespace halftone::plan {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

/// Counts which of the user's rules and patterns met a tensor that they can act on.
class Usage {
 public:
  explicit Usage(const RuleSet& rules)
      : rules_(rules), rule_used_(rules.user.size()), include_used_(rules.include.size()), exclude_used_(rules.exclude.size()) {}

  void see(const TensorInfo& tensor) {
    const bool layer = is_layer(tensor);
    for (std::size_t i = 0; i < rule_used_.size(); ++i) {
      const bool applies = layer || rules_.user[i].action != Action::quantize;
      if (!rule_used_[i] && applies && rules_.user[i].match(tensor.name)) rule_used_[i] = true;
    }
    if (!layer) return;
    mark(include_used_, rules_.include, tensor.name);
    mark(exclude_used_, rules_.exclude, tensor.name);
  }

  void check() const {
    for (std::size_t i = 0; i < rule_used_.size(); ++i) {
      if (rule_used_[i]) continue;
      const Rule& rule = rules_.user[i];
      const char* what = rule.action == Action::quantize ? "two-dimensional '*.weight'" : "tensor";
      fail(ErrorKind::unused_rule, "{} ({}) matches no {}; --allow-unused permits that", rule.origin, rule.match.text(), what);
    }
    check_patterns(include_used_, rules_.include, "--include");
    check_patterns(exclude_used_, rules_.exclude, "--exclude");
  }

 private:
  static void mark(std::vector<bool>& used, const std::vector<Match>& patterns, const std::string& name) {
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (!used[i] && patterns[i](name)) used[i] = true;
    }
  }
  static void check_patterns(const std::vector<bool>& used, const std::vector<Match>& patterns, const char* option) {
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (used[i]) continue;
      fail(ErrorKind::unused_rule, "{} {} matches no two-dimensional '*.weight'; --allow-unused permits that", option, patterns[i].text());
    }
  }

  const RuleSet& rules_;
  std::vector<bool> rule_used_;
  std::vector<bool> include_used_;
  std::vector<bool> exclude_used_;
};

void set_rule(Decision& decision, const Rule& rule, const PlanOptions& options) {
  decision.action = rule.action;
  decision.rule = fmt::format("{}: {}", rule.origin, rule.match.text());
  decision.reason = rule.why;
  decision.dtype = rule.dtype;
  if (rule.action != Action::quantize) return;
  if (rule.format == nullptr && options.spec.format == nullptr) {
    fail(ErrorKind::usage, "{} ({}) quantizes without a format of its own, and --format is missing", rule.origin, rule.match.text());
  }
  decision.spec = options.spec;
  if (rule.format != nullptr && rule.format != options.spec.format) {
    decision.spec.format = rule.format;
    decision.spec.block_size = 0;
    decision.spec.rotation_group = 0;
    decision.spec.group_size = 0;
  }
  if (rule.block_size != 0) decision.spec.block_size = rule.block_size;
  if (rule.rotation_group != 0) decision.spec.rotation_group = rule.rotation_group;
  if (rule.group_size != 0) decision.spec.group_size = rule.group_size;
  decision.spec = heeded(formats::complete_spec(decision.spec, {rule.origin, rule.origin, rule.origin}));
}

/// True once a rule decided.
bool apply_rules(Decision& decision, const TensorInfo& tensor, const std::vector<Rule>& rules, const PlanOptions& options,
                 bool only_drops = false) {
  for (const Rule& rule : rules) {
    if (only_drops && rule.action != Action::drop) continue;
    if (!decision.layer && rule.action == Action::quantize) continue;
    if (rule.action == Action::cast && !is_source_float(tensor.dtype)) continue;
    if (!rule.match(tensor.name)) continue;
    set_rule(decision, rule, options);
    return true;
  }
  return false;
}

/// True once a pattern excluded the layer.
bool apply_patterns(Decision& decision, const RuleSet& rules) {
  for (const Match& pattern : rules.exclude) {
    if (!pattern(decision.tensor)) continue;
    decision.rule = "--exclude: " + pattern.text();
    decision.reason = "excluded by the user";
    return true;
  }
  const bool included = rules.include.empty() || std::any_of(rules.include.begin(), rules.include.end(),
                                                             [&](const Match& pattern) { return pattern(decision.tensor); });
  if (included) return false;
  decision.rule = "--include";
  decision.reason = "matches no --include pattern";
  return true;
}

Decision first_choice(const TensorInfo& tensor, const RuleSet& rules, const PlanOptions& options) {
  Decision decision{.tensor = tensor.name, .layer = is_layer(tensor)};
  decision.in_bytes = decision.out_bytes = tensor.bytes();
  if (apply_rules(decision, tensor, rules.user, options)) return decision;
  // What a preset removes goes whole: a pattern must not keep half of a decoder.
  if (apply_rules(decision, tensor, rules.preset, options, true)) return decision;
  if (decision.layer && apply_patterns(decision, rules)) return decision;
  if (decision.layer && rules.like && apply_example(decision, *rules.like, options)) return decision;
  if (apply_rules(decision, tensor, rules.preset, options)) return decision;
  if (!decision.layer) {
    decision.rule = "default";
    decision.reason = "no two-dimensional '*.weight'";
    return decision;
  }
  if (options.spec.format == nullptr) {
    decision.rule = kLikeRule;
    decision.reason = fmt::format("'{}' has no such layer, and --format was not given", rules.like->name());
    return decision;
  }
  decision.action = Action::quantize;
  decision.spec = heeded(options.spec);
  decision.rule = "default";
  decision.reason = "a two-dimensional weight that no rule keeps";
  return decision;
}

}  // namespace

QuantSpec heeded(QuantSpec spec) {
  const FormatFacts& facts = spec.format->facts();
  spec.input_scale = spec.input_scale && facts.takes_input_scale;
  spec.double_quant = spec.double_quant && facts.takes_double_quant;
  spec.full_precision_mm = spec.full_precision_mm && !facts.comfy_format.empty();
  if (!can_search_scales(*spec.format)) spec.scales = ScaleMethod::absmax;
  return spec;
}

bool is_layer(const TensorInfo& tensor) { return tensor.shape.size() == 2 && formats::has_suffix(tensor.name, formats::kWeightSuffix); }

namespace {

bool any_match(const std::vector<Rule>& rules, const ModelIndex& model) {
  return std::any_of(rules.begin(), rules.end(), [&](const Rule& rule) {
    return std::any_of(model.tensors().begin(), model.tensors().end(),
                       [&](const ModelTensor& tensor) { return rule.match(tensor.info.name); });
  });
}

}  // namespace

RuleSet collect_rules(const ModelIndex& model, const PlanOptions& options) {
  RuleSet rules{.user = options.rules,
                .preset = {},
                .include = compile_patterns(options.include, "--include"),
                .exclude = compile_patterns(options.exclude, "--exclude"),
                .like = {},
                .preset_name = {},
                .preset_reason = {},
                .notes = {}};
  if (options.like) rules.like.emplace(*options.like, model);
  for (const std::string& name : options.presets) {
    const bool alone = name == "auto" || name == "none";
    if (alone && options.presets.size() > 1) fail(ErrorKind::usage, "--preset {} cannot be combined with other presets", name);
    if (name == "none") {
      rules.preset_reason = "every two-dimensional '*.weight' is quantized";
    } else if (name == "auto") {
      const Recognition recognition = recognise_model(model);
      rules.preset_name = recognition.preset->name;
      rules.preset_reason = recognition.reason;
      rules.preset = recognition.preset->measured;
      rules.preset.insert(rules.preset.end(), recognition.preset->rules.begin(), recognition.preset->rules.end());
      return rules;
    } else {
      const Preset& preset = preset_named(name);
      if (!any_match(preset.rules, model))
        rules.notes.push_back(fmt::format("no rule of the preset {} matches a tensor of this model", name));
      rules.preset.insert(rules.preset.end(), preset.rules.begin(), preset.rules.end());
      rules.preset_reason = "chosen by the user";
    }
  }
  rules.preset_name = join(options.presets);
  return rules;
}

std::vector<Decision> decide(const ModelIndex& model, const formats::StoredByWeight& stored, const RuleSet& rules,
                             const PlanOptions& options) {
  Usage usage(rules);
  std::vector<Decision> decisions;
  decisions.reserve(model.tensors().size());
  for (const ModelTensor& tensor : model.tensors()) {
    usage.see(tensor.info);
    Decision decision = first_choice(tensor.info, rules, options);
    if (decision.action == Action::quantize) {
      const formats::QuantizedLayer* layer = stored.find(tensor.info.name);
      apply_constraints(decision, tensor.info, layer, options);
      choose_rotation(decision, layer, options);
    }
    decisions.push_back(std::move(decision));
  }
  if (!options.allow_unused) usage.check();
  drop_companions(decisions, stored);
  return decisions;
}

}  // namespace halftone::plan
