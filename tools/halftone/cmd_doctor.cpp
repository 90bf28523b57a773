#include <thread>

#include "api/backends.hpp"
#include "command.hpp"
#include "cpu/cpu_backend.hpp"
#include "output.hpp"

namespace halftone::tool {
namespace {

nlohmann::ordered_json notes_json(const std::vector<api::DeviceNote>& notes) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const api::DeviceNote& note : notes) json.push_back({{"usable", note.usable}, {"text", note.text}});
  return json;
}

void print_notes(const std::vector<api::DeviceNote>& notes) {
  for (const api::DeviceNote& note : notes) print("{}  {}\n", note.usable ? "ok  " : "note", note.text);
}

}  // namespace

void add_doctor(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "doctor", "Say what this machine offers and what each finding means.", "halftone doctor");
  command->callback([&session] {
    std::vector<std::string> sets;
    for (const cpu::KernelTable* kernels : cpu::usable_kernels()) sets.emplace_back(kernels->instruction_set);
    const unsigned cores = std::thread::hardware_concurrency();
    const std::vector<api::DeviceNote> gpus = api::describe_gpus();
    const std::vector<api::DeviceNote> libraries = api::describe_libraries();
    if (session.json) {
      return print_json({{"version", HALFTONE_VERSION},
                         {"device", cpu::make_backend()->name()},
                         {"cores", cores},
                         {"instruction_sets", sets},
                         {"gpus", notes_json(gpus)},
                         {"libraries", notes_json(libraries)}});
    }
    print("halftone {}\n", HALFTONE_VERSION);
    print("ok    {} cores: conversions use all of them unless --threads says otherwise\n", cores);
    print("ok    {} kernels: the fastest that this processor runs; the bytes are the same with any\n", sets.front());
    print_notes(gpus);
    print_notes(libraries);
  });
}

}  // namespace halftone::tool
