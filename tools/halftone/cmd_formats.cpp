#include <fmt/ranges.h>

#include <halftone/format.hpp>

#include "command.hpp"
#include "output.hpp"

namespace halftone::tool {

void add_formats(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "formats", "List the output formats.", "halftone formats");
  command->callback([&session] {
    nlohmann::ordered_json json = {{"formats", nlohmann::ordered_json::array()}};
    std::string text;
    for (const FormatDescriptor* format : all_formats()) {
      const auto sizes = format->block_sizes();
      json["formats"].push_back({{"name", format->name()},
                                 {"comfy_format", format->comfy_format()},
                                 {"summary", format->summary()},
                                 {"loaders", format->loaders()},
                                 {"block_sizes", sizes}});
      const std::string blocks = sizes.empty() ? std::string() : fmt::format(" (--block-size {})", fmt::join(sizes, "|"));
      text += fmt::format("{:<11} {}{}; loaded by {}\n", format->name(), format->summary(), blocks, format->loaders());
    }
    if (session.json) {
      print_json(json);
    } else {
      write_out(text);
    }
  });
}

}  // namespace halftone::tool
