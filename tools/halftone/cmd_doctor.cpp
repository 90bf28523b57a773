#include <thread>

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
    if (session.json) {
      return print_json({{"version", HALFTONE_VERSION},
                         {"device", cpu::make_backend()->name()},
                         {"cores", cores},
                         {"instruction_sets", sets},
                         {"cuda", false}});
    }
    print("halftone {}\n", HALFTONE_VERSION);
    print("ok    {} cores: conversions use all of them unless --threads says otherwise\n", cores);
    print("ok    {} kernels: the fastest that this processor runs; the bytes are the same with any\n", sets.front());
    print("note  this build has no CUDA backend: everything runs on the CPU\n");
  });
}

}  // namespace halftone::tool
