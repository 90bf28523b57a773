#include "api/resume.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "api/output_names.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "io/output_file.hpp"
#include "io/paths.hpp"

namespace halftone::api {
namespace {

namespace fs = std::filesystem;

/// The name of a file that is in the folder of `output`, or the whole path of another.
std::string name_beside(const fs::path& output, const fs::path& file) {
  const fs::path path = io::resolved(file);
  return path.parent_path() == io::resolved(output).parent_path() ? path.filename().string() : path.string();
}

/// The first partial file in `folder` of the outputs of a run, or an empty path.
fs::path partial_file(const fs::path& folder, const io::RunIdentity& run) {
  for (const std::string& name : run.outputs) {
    fs::path path = folder / (name + ".partial");
    if (io::is_taken(path)) return path;
  }
  return {};
}

/// Whether every file of the run has its name, its size and its header.
bool outputs_are_complete(const fs::path& output, const Plan& plan, const RunOptions& options) {
  const auto has = [](const fs::path& path, const Header& header) { return io::is_whole(path, serialize(header), header.file_bytes()); };
  if (plan.lora && !has(options.lora_output, *plan.lora)) return false;
  if (plan.shards.empty()) return has(output, plan.output);
  const fs::path folder = output.parent_path();
  return io::is_whole(folder / plan.index_name, plan.index, plan.index.size()) &&
         std::all_of(plan.shards.begin(), plan.shards.end(),
                     [&](const OutputShard& shard) { return has(folder / shard.name, shard.header); });
}

void check_same_run(const io::Journal& journal, const io::RunIdentity& now) {
  std::string difference = "it cannot be read: it is damaged, or of another version of halftone";
  if (journal.identity()) difference = io::difference(*journal.identity(), now);
  if (difference.empty()) return;
  fail(ErrorKind::journal_mismatch,
       "the interrupted run of '{}' cannot go on: {}; run it as it was run then, or remove this file to start anew",
       journal.path().string(), difference);
}

/// A journal is opened before the output, whose own checks come too late for it.
fs::path path_in_a_folder(const fs::path& output) {
  io::check_folder_of(io::resolved(output));
  return journal_path(output);
}

}  // namespace

bool learns(const Plan& plan) {
  return std::any_of(plan.jobs.begin(), plan.jobs.end(), [](const Job& job) { return job.learn.has_value(); });
}

io::RunIdentity identity_of(const fs::path& output, const Plan& plan, const RunSources& from, const RunOptions& options) {
  io::RunIdentity identity{.version = HALFTONE_VERSION, .plan = plan.hash(), .outputs = names_of_model(output, plan)};
  if (plan.lora) identity.outputs.push_back(name_beside(output, options.lora_output));
  if (learns(plan)) identity.device = from.product;
  const auto add = [&](const io::ModelFiles& model) {
    for (const io::MappedFile& file : model.files()) {
      identity.inputs.push_back({io::resolved(file.path()).string(), file.bytes().size(), file.modified_ns()});
    }
  };
  add(from.files);
  if (from.statistics != nullptr) add(*from.statistics);
  for (const NamedOption& option : options.named_options) identity.options[option.name] = option.value;
  return identity;
}

void refuse_to_lose(const fs::path& output, const RunOptions& options) {
  if (options.resume || options.replace) return;
  const fs::path path = journal_path(output);
  std::ifstream file(path);
  std::string identity;
  std::string record;
  // Without records there is nothing to lose, and a file that is no journal is not this run's business.
  if (!std::getline(file, identity) || !std::getline(file, record)) return;
  const auto run = io::RunIdentity::from_line(identity);
  if (!run || run->device.empty()) return;
  fail(ErrorKind::journal_mismatch,
       "'{}' is that of an interrupted run with learned rounding: --resume goes on with it, --force starts anew", path.string());
}

OpenedJournal::OpenedJournal(const fs::path& output, const Plan& plan, const RunSources& from, const RunOptions& options)
    : journal(path_in_a_folder(output)), identity(identity_of(output, plan, from, options)) {
  const auto tell = [&](const std::string& sentence) {
    if (options.tell) options.tell(sentence);
  };
  if (!options.resume) return;
  const fs::path folder = journal.path().parent_path();
  fs::path partial = partial_file(folder, identity);
  // Another run may have had other files.
  if (partial.empty() && journal.identity()) partial = partial_file(folder, *journal.identity());
  if (journal.is_begun() && !partial.empty()) {
    check_same_run(journal, identity);
    resumes = true;
    tell(fmt::format("going on with '{}': {} of {} are recorded as done", partial.string(), journal.records().size(),
                     base::counted(plan.jobs.size(), "job")));
  } else if (!partial.empty()) {
    tell(fmt::format("'{}' has no journal: the conversion starts anew", partial.string()));
  } else if (journal.is_begun() && journal.records().size() == plan.jobs.size() && outputs_are_complete(output, plan, options)) {
    check_same_run(journal, identity);
    is_complete = true;
    tell(fmt::format("'{}' is complete already", output.string()));
  } else if (journal.is_begun()) {
    tell(fmt::format("'{}' has no partial file beside it: the conversion starts anew", journal.path().string()));
  }
}

void OpenedJournal::start() {
  if (resumes) {
    journal.go_on();
  } else {
    journal.begin(identity);
  }
}

}  // namespace halftone::api
