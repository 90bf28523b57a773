// A program outside the project: converts a model with the installed library.
#include <cstdio>

#include <halftone/halftone.hpp>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    halftone::PlanOptions options;
    options.spec.format = &halftone::format_named("fp8");
    options.presets = {"none"};
    halftone::RunControl control;
    const auto report = halftone::convert(argv[1], argv[2], options, {}, control);
    std::printf("%llu bytes\n", static_cast<unsigned long long>(report.plan.output_bytes()));
  } catch (const halftone::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(halftone::exit_code_of(error.kind()));
  }
  return 0;
}
