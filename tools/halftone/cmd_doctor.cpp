#include <thread>

#include "api/backends.hpp"
#include "command.hpp"
#include "cpu/cpu_backend.hpp"
#include "output.hpp"

namespace halftone::tool {

void add_doctor(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "doctor", "Say what this machine offers and what each finding means.", "halftone doctor");
  command->callback([&session] {
    std::vector<std::string> sets;
    for (const cpu::KernelTable* kernels : cpu::usable_kernels()) sets.emplace_back(kernels->instruction_set);
    const unsigned cores = std::thread::hardware_concurrency();
    const std::vector<api::DeviceNote> notes = api::describe_gpus();
    if (session.json) {
      nlohmann::ordered_json gpus = nlohmann::ordered_json::array();
      for (const api::DeviceNote& note : notes) gpus.push_back({{"usable", note.usable}, {"text", note.text}});
      return print_json({{"version", HALFTONE_VERSION},
                         {"device", cpu::make_backend()->name()},
                         {"cores", cores},
                         {"instruction_sets", sets},
                         {"gpus", gpus}});
    }
    print("halftone {}\n", HALFTONE_VERSION);
    print("ok    {} cores: conversions use all of them unless --threads says otherwise\n", cores);
    print("ok    {} kernels: the fastest that this processor runs; the bytes are the same with any\n", sets.front());
    for (const api::DeviceNote& note : notes) print("{}  {}\n", note.usable ? "ok  " : "note", note.text);
  });
}

}  // namespace halftone::tool
