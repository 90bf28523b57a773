#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>

#include "base/text.hpp"
#include "command.hpp"
#include "driver_environment.hpp"
#include "output.hpp"
#include "signals.hpp"

namespace halftone::tool {

CLI::App* add_command(CLI::App& app, Session& session, const char* name, const char* summary, const char* example) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->footer(std::string("Example: ") + example);
  command->add_flag("--json", session.json, "print one JSON object on stdout");
  return command;
}

namespace {

/// Options or subcommands that `word` may have been meant as.
std::vector<std::string> known_words(const CLI::App& app, const std::string& word) {
  std::vector<std::string> words;
  if (word.rfind("-", 0) == 0) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    }
  } else {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) words.push_back(command->get_name());
  }
  return words;
}

/// The parser's sentence in the words of this program.
std::string sentence_of(const CLI::App& at, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    for (const CLI::Option* option : at.get_options()) {
      if (!option->get_required() || option->count() != 0) continue;
      const bool positional = option->get_positional();
      return fmt::format("{} is missing", positional ? fmt::format("the argument {}", option->get_type_name()) : option->get_name());
    }
  }
  if (const auto* mismatch = dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
    const std::string name = std::string(mismatch->what()).substr(0, std::string(mismatch->what()).find(':'));
    const CLI::Option* option = at.get_option_no_throw(name);
    if (option != nullptr) return fmt::format("{} takes one value and may be given once", name);
  }
  return error.what();
}

int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const CLI::App& at = chosen.empty() ? app : *chosen.front();
  std::string sentence = sentence_of(at, error);
  std::vector<std::string> extras = at.remaining(true);
  if (extras.empty()) extras = app.remaining(true);
  if (!extras.empty()) {
    const std::string word = extras.front().substr(0, extras.front().find('='));
    const char* what = word.starts_with("-") ? "option" : chosen.empty() ? "subcommand" : "argument";
    const bool early = word.starts_with("-") && !chosen.empty() && app.get_option_no_throw(word) == nullptr &&
                       chosen.front()->get_option_no_throw(word) != nullptr;
    sentence = early ? fmt::format("the option '{}' must follow the subcommand", word)
                     : fmt::format("unknown {} '{}'{}", what, word, base::did_you_mean(word, known_words(at, word)));
  }
  write_message(
      fmt::format("halftone: {}; see 'halftone {}{}--help'", sentence, chosen.empty() ? "" : at.get_name(), chosen.empty() ? "" : " "));
  return static_cast<int>(ExitCode::usage);
}

int fail_with(ExitCode code, std::string_view sentence) {
  write_message(fmt::format("halftone: {}", sentence));
  return static_cast<int>(code);
}

int run(int argc, char** argv) {
  Session session;
  CLI::App app("Converts neural-network weights in safetensors files to low-precision formats.", "halftone");
  app.set_version_flag("--version", "halftone " HALFTONE_VERSION);
  app.require_subcommand(1);
  app.footer("Example: halftone convert flux1-dev.safetensors --format fp8\n'halftone SUBCOMMAND --help' shows the options of one.");
  app.failure_message(CLI::FailureMessage::simple);
#define HALFTONE_COMMAND(name) add_##name(app, session);
#include "commands.def"
#undef HALFTONE_COMMAND
  ignore_write_signals();
  open_few_connections();
  if (argc == 1) {
    write_error(app.help());
    return static_cast<int>(ExitCode::usage);
  }
  // CLI11 answers `--help` before it notices that the subcommand is unknown.
  const std::string word = argv[1];
  const std::vector<std::string> known = known_words(app, word);
  if (word.rfind("-", 0) != 0 && std::find(known.begin(), known.end(), word) == known.end()) {
    const std::string near = base::did_you_mean(word, known);
    return fail_with(ExitCode::usage, fmt::format("unknown subcommand '{}'{}; see 'halftone --help'", word, near));
  }
  // A bare --heur means --heur=size; CLI11 would take the word after it for its value.
  std::vector<std::string> words(argv + 1, argv + argc);
  for (std::string& text : words) {
    if (text == "--heur") text = "--heur=size";
  }
  std::reverse(words.begin(), words.end());  // as CLI11 asks
  try {
    app.parse(words);
  } catch (const CLI::Success& success) {
    const int code = app.exit(success);
    return std::fflush(stdout) == 0 && std::cout.flush() ? code : fail_with(ExitCode::io, "cannot write to the standard output");
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  } catch (const Error& error) {
    return fail_with(exit_code_of(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return fail_with(ExitCode::device, "out of host memory; --memory lowers what is used");
  } catch (const std::exception& error) {
    return fail_with(ExitCode::internal, fmt::format("internal error: {}", error.what()));
  }
  return static_cast<int>(session.exit_code);
}

}  // namespace
}  // namespace halftone::tool

int main(int argc, char** argv) {
  const int code = halftone::tool::run(argc, argv);
  std::fflush(nullptr);
  // Nothing is left to do: taking a GPU's runtime down step by step would cost half a second.
  std::_Exit(code);
}
