#include "driver_environment.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <system_error>

#include <fmt/ranges.h>

namespace halftone::tool {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVisible = "CUDA_VISIBLE_DEVICES";
constexpr const char* kConnections = "CUDA_DEVICE_MAX_CONNECTIONS";
/// Of the 8 that are usual.  With 1, layers that learn side by side wait for one another's kernels, and take up to a sixth longer
/// (bench/baselines/multi-gpu-h100.txt).
constexpr const char* kFewConnections = "3";

/// The first `count` entries of `list`.
std::string first_entries(const std::string& list, int count) {
  std::size_t end = 0;
  for (int i = 0; i < count; ++i) {
    end = list.find(',', i == 0 ? 0 : end + 1);
    if (end == std::string::npos) return list;
  }
  return list.substr(0, end);
}

/// "0,1,2" for 3.
std::string numbers_below(int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return fmt::format("{}", fmt::join(numbers, ","));
}

/// As many as can be read.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    entries.push_back(it->path());
  return entries;
}

bool has_instances(const fs::path& capabilities) {
  const std::vector<fs::path> entries = entries_of(capabilities / "mig");
  return std::any_of(entries.begin(), entries.end(), [](const fs::path& entry) { return entry.filename().string().starts_with("gi"); });
}

/// The line of a GPU that begins with "Model:"; empty where there is none.
std::string model_of(const fs::path& gpu) {
  std::ifstream file(gpu / "information");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("Model:")) return line;
  }
  return {};
}

}  // namespace

bool gpus_are_alike(const fs::path& driver) {
  const std::vector<fs::path> capabilities = entries_of(driver / "capabilities");
  if (std::any_of(capabilities.begin(), capabilities.end(), has_instances)) return false;
  const std::vector<fs::path> gpus = entries_of(driver / "gpus");
  if (gpus.size() < 2) return false;
  const std::string model = model_of(gpus.front());
  return !model.empty() && std::all_of(gpus.begin(), gpus.end(), [&](const fs::path& gpu) { return model_of(gpu) == model; });
}

void open_few_connections() { ::setenv(kConnections, kFewConnections, 0); }

void hide_gpus_behind(const std::vector<int>& ordinals, const fs::path& driver) {
  if (ordinals.empty() && !gpus_are_alike(driver)) return;
  const int count = ordinals.empty() ? 1 : *std::max_element(ordinals.begin(), ordinals.end()) + 1;
  const char* visible = std::getenv(kVisible);
  const std::string list = visible != nullptr ? first_entries(visible, count) : numbers_below(count);
  ::setenv(kVisible, list.c_str(), 1);
}

}  // namespace halftone::tool
