#include "api/output_names.hpp"

#include <map>
#include <system_error>

#include "base/fail.hpp"

namespace halftone::api {
namespace {

namespace fs = std::filesystem;

/// The names that the files of a run have at some time, and what they are.
class TakenNames {
 public:
  void add_file(const fs::path& path, const std::string& what) {
    add(path, what);
    add(io::partial_path(path), "the partial file of " + what);
  }

  void add(const fs::path& path, const std::string& what) {
    const auto [other, is_free] = taken_.emplace(path, what);
    if (is_free) return;
    fail(ErrorKind::same_file, "{} '{}' is {} itself; choose another name", what, path.string(), other->second);
  }

 private:
  std::map<fs::path, std::string> taken_;
};

}  // namespace

fs::path resolved(const fs::path& path) {
  std::error_code ignored;
  const fs::path real = fs::weakly_canonical(path, ignored);
  return real.empty() ? path : real;
}

fs::path journal_path(const fs::path& output) {
  fs::path path = resolved(output);
  path += ".journal";
  return path;
}

std::vector<std::string> names_of_model(const fs::path& output, const Plan& plan) {
  if (plan.shards.empty()) return {resolved(output).filename().string()};
  std::vector<std::string> names;
  for (const OutputShard& shard : plan.shards) names.push_back(shard.name);
  names.push_back(plan.index_name);
  return names;
}

void check_output_names(const Plan& plan, const fs::path& output, const fs::path& lora, const std::vector<io::FileId>& inputs) {
  TakenNames taken;
  const fs::path folder = (plan.shards.empty() ? resolved(output) : output).parent_path();
  for (const std::string& name : names_of_model(output, plan)) taken.add_file(resolved(folder / name), "the output");
  taken.add(journal_path(output), "the journal of the output");
  if (plan.lora && !lora.empty()) taken.add_file(resolved(lora), "the LoRA");
  io::refuse_inputs(journal_path(output), inputs, "journal of the output");
}

}  // namespace halftone::api
