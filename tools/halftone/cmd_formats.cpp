#include <fmt/ranges.h>

#include <halftone/format.hpp>
#include <halftone/linear.hpp>

#include "command.hpp"
#include "output.hpp"

namespace halftone::tool {
namespace {

/// " (--block-size 64|128)", the default first; nothing where there is no choice.
std::string choices(const char* option, const std::vector<std::uint32_t>& values) {
  return values.empty() ? std::string() : fmt::format(" ({} {})", option, fmt::join(values, "|"));
}

/// How a GPU multiplies with the weights of a format.
nlohmann::ordered_json linear_json(const FormatDescriptor& format) {
  const LinearFacts facts = linear_facts(format);
  return {{"product", facts.product}, {"fast", facts.fast}, {"activations", facts.activations}, {"transpose", can_transpose(format).ok}};
}

std::string linear_text(const FormatDescriptor& format) {
  const LinearFacts facts = linear_facts(format);
  return fmt::format("{:<13}  linear: {}{}{}\n", "", facts.product, facts.activations.empty() ? "" : "; inputs: ", facts.activations);
}

}  // namespace

void add_formats(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "formats", "List the output formats.", "halftone formats");
  command->callback([&session] {
    nlohmann::ordered_json json = {{"formats", nlohmann::ordered_json::array()}};
    std::string text;
    for (const FormatDescriptor* format : all_formats()) {
      const FormatFacts& facts = format->facts();
      json["formats"].push_back({{"name", facts.name},
                                 {"comfy_format", facts.comfy_format},
                                 {"summary", facts.summary},
                                 {"loaders", facts.loaders},
                                 {"block_sizes", facts.block_sizes},
                                 {"rotation_groups", facts.rotation_groups},
                                 {"group_sizes", facts.group_sizes},
                                 {"linear", linear_json(*format)}});
      text += fmt::format("{:<13}{}{}{}; loaded by {}\n", facts.name, facts.summary, choices("--block-size", facts.block_sizes),
                          choices("--rotation-group", facts.rotation_groups) + choices("--group-size", facts.group_sizes), facts.loaders);
      text += linear_text(*format);
    }
    if (session.json) {
      print_json(json);
    } else {
      write_out(text);
    }
  });
}

}  // namespace halftone::tool
