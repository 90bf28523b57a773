#include "output.hpp"

#include <cstdio>

#include <halftone/error.hpp>

#include "base/text.hpp"

namespace halftone::tool {

void write_out(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) throw Error(ErrorKind::io, "cannot write to the standard output");
}

void write_error(std::string_view text) noexcept { std::fwrite(text.data(), 1, text.size(), stderr); }

void write_message(std::string_view line) { write_error(fmt::format("{}\n", base::printable(line))); }

void print_json(const nlohmann::ordered_json& json) {
  write_out(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace halftone::tool
