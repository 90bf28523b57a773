#include <memory>

#include <halftone/preset.hpp>

#include "command.hpp"
#include "output.hpp"

namespace halftone::tool {
namespace {

using nlohmann::ordered_json;

ordered_json preset_json(const Preset& preset) {
  ordered_json json = {{"name", preset.name}, {"title", preset.title}, {"group", preset.group}, {"origin", preset.origin}};
  json["recognised_by"] = preset.detect_why;
  json["rules"] = ordered_json::array();
  for (const Rule& rule : preset.rules) {
    json["rules"].push_back({{"match", rule.match.text()}, {"action", name_of(rule.action)}, {"why", rule.why}});
  }
  return json;
}

std::string preset_text(const Preset& preset) {
  std::string text = fmt::format("{}: {} ({})\n", preset.name, preset.title, preset.origin);
  text += preset.present.empty() ? std::string("never chosen by 'auto'\n") : fmt::format("recognised: {}\n", preset.detect_why);
  for (const Rule& rule : preset.measured) text += fmt::format("  keep, by 'auto' only  {:<40} {}\n", rule.match.text(), rule.why);
  for (const Rule& rule : preset.rules) text += fmt::format("  {:<5} {:<40} {}\n", name_of(rule.action), rule.match.text(), rule.why);
  return text;
}

}  // namespace

void add_presets(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "presets", "List the model presets, or show one.", "halftone presets flux2");
  const auto name = std::make_shared<std::string>();
  command->add_option("name", *name, "show the rules of this preset")->type_name("NAME");
  command->callback([name, &session] {
    ordered_json json = {{"presets", ordered_json::array()}};
    std::string text;
    if (!name->empty()) {
      const Preset& preset = preset_named(*name);
      json["presets"].push_back(preset_json(preset));
      text = preset_text(preset);
    } else {
      for (const Preset& preset : all_presets()) {
        if (preset.hidden) continue;
        json["presets"].push_back(preset_json(preset));
        text += fmt::format("{:<20} {:<10} {}\n", preset.name, preset.group, preset.title);
      }
    }
    if (session.json) {
      print_json(json);
    } else {
      write_out(text);
    }
  });
}

}  // namespace halftone::tool
