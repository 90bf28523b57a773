#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/model.hpp>
#include <halftone/rule.hpp>

namespace halftone {

/// A tensor that recognises a model: its name equals `name` or ends in "." + `name` (`*` matches
/// any run of characters), and its shape fits where one is given.
struct Landmark {
  std::string name;
  bool any_shape = true;
  std::vector<std::optional<std::uint64_t>> shape;  ///< nothing: any extent
};

/// What is kept, and why, in the models of one family.
struct Preset {
  std::string name;
  std::string title;
  std::string group;
  std::string origin;
  bool hidden = false;            ///< a list that other presets use, no preset of its own
  std::vector<Landmark> present;  ///< all must be there; empty: never recognised by itself
  std::vector<Landmark> absent;   ///< none may be there
  std::string detect_why;
  std::vector<Rule> measured;  ///< added when recognised: tensors whose shape a loader measures
  std::vector<Rule> rules;     ///< its own rules, then those of the lists it uses
};

/// Every preset, by name; parsed once from the embedded data (src/presets/*.json).
[[nodiscard]] const std::vector<Preset>& all_presets();

/// The preset called `name`.  Throws usage with the nearest name.
[[nodiscard]] const Preset& preset_named(std::string_view name);

/// A preset and the reason for choosing it.
struct Recognition {
  const Preset* preset = nullptr;
  std::string reason;
};

/// The preset whose landmarks `model` shows, or the general one for an unknown model.
[[nodiscard]] Recognition recognise_model(const ModelIndex& model);

}  // namespace halftone
