#pragma once

#include <CLI/CLI.hpp>

#include <halftone/error.hpp>
#include <halftone/run_control.hpp>

namespace halftone::tool {

/// What the subcommands share.
struct Session {
  RunControl control;
  bool json = false;   ///< one JSON object on stdout
  bool quiet = false;  ///< no progress on stderr
  ExitCode exit_code = ExitCode::ok;
};

// Each adds its subcommand to `app`; `session` must outlive the parse.
#define HALFTONE_COMMAND(name) void add_##name(CLI::App& app, Session& session);
#include "commands.def"
#undef HALFTONE_COMMAND

/// A subcommand with `--json`; its `example` is shown under `--help`.
[[nodiscard]] CLI::App* add_command(CLI::App& app, Session& session, const char* name, const char* summary, const char* example);

}  // namespace halftone::tool
