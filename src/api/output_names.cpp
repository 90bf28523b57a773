#include "api/output_names.hpp"

#include <map>
#include <optional>

#include "base/fail.hpp"
#include "io/output_file.hpp"
#include "io/paths.hpp"

namespace halftone::api {
namespace {

namespace fs = std::filesystem;

/// The names that the files of a run have at some time, and what they are.
class TakenNames {
 public:
  explicit TakenNames(const std::vector<io::FileId>& inputs) : inputs_(inputs) {}

  void add_file(const fs::path& named, const std::string& what) {
    const fs::path path = io::resolved(named);
    io::check_folder_of(path);
    add(path, what);
    add(io::partial_path(path), "partial file of the " + what);
  }

  void add(const fs::path& path, const std::string& what) {
    const auto [other, is_free] = taken_.emplace(path, what);
    if (!is_free) fail(ErrorKind::same_file, "the {} '{}' is the {} itself; choose another name", what, path.string(), other->second);
    io::refuse_inputs(path, inputs_, what);
  }

 private:
  const std::vector<io::FileId>& inputs_;
  std::map<fs::path, std::string> taken_;
};

}  // namespace

fs::path journal_path(const fs::path& output) {
  fs::path path = io::resolved(output);
  path += ".journal";
  return path;
}

std::vector<std::string> names_of_model(const fs::path& output, const Plan& plan) {
  if (plan.shards.empty()) return {io::resolved(output).filename().string()};
  std::vector<std::string> names;
  for (const OutputShard& shard : plan.shards) names.push_back(shard.name);
  names.push_back(plan.index_name);
  return names;
}

RunOptions keeping_example(const RunOptions& run, const PlanOptions& options) {
  RunOptions keeping = run;
  if (options.like) keeping.kept_files.insert(keeping.kept_files.end(), options.like->files.begin(), options.like->files.end());
  return keeping;
}

std::vector<io::FileId> kept_files(const io::ModelFiles& input, const io::ModelFiles* statistics, const RunOptions& options) {
  std::vector<io::FileId> ids = input.ids();
  if (statistics != nullptr) {
    const std::vector<io::FileId> more = statistics->ids();
    ids.insert(ids.end(), more.begin(), more.end());
  }
  for (const fs::path& path : options.kept_files) ids.push_back(io::MappedFile(path).id());
  return ids;
}

void check_output_names(const Plan& plan, const fs::path& output, const fs::path& lora, const std::vector<io::FileId>& inputs) {
  TakenNames taken(inputs);
  const fs::path folder = (plan.shards.empty() ? io::resolved(output) : output).parent_path();
  for (const std::string& name : names_of_model(output, plan)) taken.add_file(folder / name, "output");
  taken.add(journal_path(output), "journal of the output");
  if (plan.lora && !lora.empty()) taken.add_file(lora, "LoRA");
}

void check_planned_output(const Plan& plan, const fs::path& input, const fs::path& output, const PlanOptions& options,
                          const RunOptions& run) {
  const io::ModelFiles files(input);
  std::optional<io::ModelFiles> statistics;
  if (options.statistics) statistics.emplace(options.statistics->path);
  const RunOptions keeping = keeping_example(run, options);
  check_output_names(plan, output, run.lora_output, kept_files(files, statistics ? &*statistics : nullptr, keeping));
}

}  // namespace halftone::api
