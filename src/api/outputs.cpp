#include "api/outputs.hpp"

#include <algorithm>
#include <system_error>

#include "api/resume.hpp"
#include "base/fail.hpp"

namespace halftone::api {
namespace {

/// Each mapped file has threads that supply its pages: with more files than this, buffers serve as well.
constexpr std::size_t kMostMapped = 16;

}  // namespace

Outputs::Outputs(const Plan& plan, const Request& request) {
  open_model(plan, request);
  if (plan.lora) open_lora(plan, request);
}

void Outputs::open(const io::OutputFile::Request& file) {
  owned_.push_back(std::make_unique<io::OutputFile>(file));
  files_.push_back(owned_.back().get());
}

void Outputs::open_lora(const Plan& plan, const Request& request) {
  if (request.lora.empty()) fail(ErrorKind::usage, "the plan has a LoRA, and no file was named for it");
  io::OutputFile::Request file{.path = request.lora, .replace = request.replace, .inputs = request.inputs, .resume = request.resume};
  file.head = serialize(*plan.lora);
  file.n_bytes = plan.lora->file_bytes();
  file.mode = io::WriteMode::calls;
  open(file);
}

/// Readers of a folder ask for an index first.
void Outputs::check_old_index(const Request& request) {
  std::filesystem::path index = request.path;
  index += ".index.json";
  std::error_code ignored;  // a name that is too long names no file
  if (!std::filesystem::is_regular_file(index, ignored)) return;
  const io::FileId id = io::MappedFile(index).id();
  const bool is_input = std::find(request.inputs.begin(), request.inputs.end(), id) != request.inputs.end();
  if (!is_input && !request.replace) {
    fail(
        ErrorKind::output_exists,
        "'{}' is there and would make readers of the folder take its shards for the output; remove it, choose another name, or use --force",
        index.string());
  }
  notes_.push_back(fmt::format("readers of the folder take the shards of '{}' for the output, unless it is removed", index.string()));
}

void Outputs::open_model(const Plan& plan, const Request& request) {
  io::OutputFile::Request file{.replace = request.replace, .inputs = request.inputs, .resume = request.resume};
  // Supplying pages holds up the start of a GPU, and the first kernels that it loads, by tenths of a second.
  file.is_filled_soon = !learns(plan);
  if (plan.shards.empty()) {
    check_old_index(request);
    file.path = request.path;
    file.head = serialize(plan.output);
    file.n_bytes = plan.output_bytes();
    return open(file);
  }
  const std::filesystem::path folder = request.path.parent_path();
  std::uint64_t n_more = plan.output_bytes();
  file.mode = plan.shards.size() > kMostMapped ? io::WriteMode::calls : io::WriteMode::automatic;
  for (const OutputShard& shard : plan.shards) {
    file.path = folder / shard.name;
    file.head = serialize(shard.header);
    file.n_bytes = shard.header.file_bytes();
    n_more -= file.n_bytes;
    // The files of an interrupted run have their space already.
    file.n_more = request.resume ? 0 : n_more;
    open(file);
  }
  file.path = folder / plan.index_name;
  file.head = plan.index;
  file.n_bytes = plan.index.size();
  file.n_more = 0;
  file.mode = io::WriteMode::calls;
  index_ = std::make_unique<io::OutputFile>(file);
}

void Outputs::keep(bool kept) noexcept {
  for (io::OutputFile* file : files_) file->keep(kept);
  if (index_) index_->keep(kept);
}

void Outputs::commit() {
  for (io::OutputFile* file : files_) file->complete();
  if (index_) {
    index_->complete();
    // An index that is replaced must not name shards of two models, should the run end between them.
    std::error_code error;
    std::filesystem::remove(index_->path(), error);
    if (error) fail(ErrorKind::io, "cannot remove '{}': {}", index_->path().string(), error.message());
  }
  // A model that is there has its low-rank corrections beside it: they come first.
  for (auto file = files_.rbegin(); file != files_.rend(); ++file) (*file)->appear();
  if (index_) index_->appear();
}

}  // namespace halftone::api
