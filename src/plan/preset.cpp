#include <halftone/preset.hpp>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "plan/embedded_presets.hpp"
#include "plan/rules_json.hpp"

namespace halftone {
namespace {

using nlohmann::json;

std::vector<Landmark> landmarks_from_json(const json& list, const std::string& where) {
  std::vector<Landmark> landmarks;
  for (const json& item : list) {
    plan::check_keys(item, {"name", "shape"}, where);
    Landmark landmark{.name = plan::text_of(item, "name", where), .any_shape = !item.contains("shape"), .shape = {}};
    for (const json& extent : item.value("shape", json::array())) {
      landmark.shape.push_back(extent.is_null() ? std::nullopt : std::optional(extent.get<std::uint64_t>()));
    }
    landmarks.push_back(std::move(landmark));
  }
  return landmarks;
}

struct Parsed {
  Preset preset;
  std::vector<std::string> uses;
};

Parsed preset_from_json(std::string_view text, const std::string& file) {
  const json document = plan::parse_document(text, file);
  plan::check_keys(document, {"name", "title", "group", "origin", "hidden", "use", "detect", "rules"}, file);
  Parsed parsed;
  Preset& preset = parsed.preset;
  preset.name = plan::text_of(document, "name", file);
  preset.title = plan::text_of(document, "title", file);
  preset.group = plan::text_of(document, "group", file);
  preset.origin = plan::text_of(document, "origin", file);
  preset.hidden = document.value("hidden", false);
  parsed.uses = document.value("use", std::vector<std::string>{});
  if (const auto detect = document.find("detect"); detect != document.end()) {
    plan::check_keys(*detect, {"all", "none", "keep", "why"}, file);
    preset.present = landmarks_from_json(detect->value("all", json::array()), file);
    preset.absent = landmarks_from_json(detect->value("none", json::array()), file);
    for (const json& item : detect->value("keep", json::array())) {
      json rule = item;
      rule["action"] = "keep";
      preset.measured.push_back(plan::rules_from_json(json::array({rule}), "preset " + preset.name).front());
    }
    preset.detect_why = plan::text_of(*detect, "why", file);
  }
  preset.rules = plan::rules_from_json(document.value("rules", json::array()), "preset " + preset.name);
  return parsed;
}

std::vector<Preset> load_presets() {
  std::vector<Parsed> parsed;
  for (const plan::EmbeddedPreset& file : plan::embedded_presets()) {
    parsed.push_back(preset_from_json(file.json, std::string(file.name)));
  }
  std::vector<Preset> presets;
  for (Parsed& item : parsed) presets.push_back(item.preset);
  for (std::size_t i = 0; i < parsed.size(); ++i) {
    for (const std::string& use : parsed[i].uses) {
      const auto list = std::find_if(parsed.begin(), parsed.end(), [&](const Parsed& other) { return other.preset.name == use; });
      if (list == parsed.end()) fail(ErrorKind::internal, "the preset {} uses the unknown list {}", presets[i].name, use);
      presets[i].rules.insert(presets[i].rules.end(), list->preset.rules.begin(), list->preset.rules.end());
    }
  }
  std::sort(presets.begin(), presets.end(), [](const Preset& a, const Preset& b) { return a.name < b.name; });
  return presets;
}

/// Whether `name` equals `pattern` or ends in "." + `pattern`.
bool is_suffix(std::string_view pattern, std::string_view name) {
  if (pattern.find('*') == std::string_view::npos) {
    if (name.size() < pattern.size() || name.substr(name.size() - pattern.size()) != pattern) return false;
    return name.size() == pattern.size() || name[name.size() - pattern.size() - 1] == '.';
  }
  for (std::size_t start = 0; start != std::string_view::npos && start < name.size();) {
    if (base::glob_match(pattern, name.substr(start))) return true;
    start = name.find('.', start);
    if (start != std::string_view::npos) ++start;
  }
  return false;
}

bool fits(const Landmark& landmark, const TensorInfo& tensor) {
  if (!is_suffix(landmark.name, tensor.name)) return false;
  if (landmark.any_shape) return true;
  if (landmark.shape.size() != tensor.shape.size()) return false;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (landmark.shape[i] && *landmark.shape[i] != tensor.shape[i]) return false;
  }
  return true;
}

bool shows(const ModelIndex& model, const Landmark& landmark) {
  return std::any_of(model.tensors().begin(), model.tensors().end(),
                     [&](const ModelTensor& tensor) { return fits(landmark, tensor.info); });
}

bool recognises(const Preset& preset, const ModelIndex& model) {
  const auto shown = [&](const Landmark& landmark) { return shows(model, landmark); };
  return !preset.present.empty() && std::all_of(preset.present.begin(), preset.present.end(), shown) &&
         std::none_of(preset.absent.begin(), preset.absent.end(), shown);
}

}  // namespace

const std::vector<Preset>& all_presets() {
  static const std::vector<Preset> presets = load_presets();
  return presets;
}

const Preset& preset_named(std::string_view name) {
  std::vector<std::string> names = {"auto", "none"};
  for (const Preset& preset : all_presets()) {
    if (preset.hidden) continue;
    if (preset.name == name) return preset;
    names.push_back(preset.name);
  }
  fail(ErrorKind::usage, "there is no preset '{}'{}; 'halftone presets' lists them", name, base::did_you_mean(name, names));
}

Recognition recognise_model(const ModelIndex& model) {
  std::vector<const Preset*> matches;
  for (const Preset& preset : all_presets()) {
    if (!preset.hidden && recognises(preset, model)) matches.push_back(&preset);
  }
  if (matches.empty()) return {&preset_named("general"), "no known model family; general rules keep the first and last layers"};
  // Among several, the one that asks for most is the most specific; ties go by name.
  const auto* best = *std::max_element(matches.begin(), matches.end(), [](const Preset* a, const Preset* b) {
    const std::size_t a_size = a->present.size() + a->absent.size();
    const std::size_t b_size = b->present.size() + b->absent.size();
    return a_size != b_size ? a_size < b_size : a->name > b->name;
  });
  return {best, best->detect_why};
}

}  // namespace halftone
