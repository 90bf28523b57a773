#include "api/outputs.hpp"

#include <system_error>

#include "base/fail.hpp"

namespace halftone::api {
namespace {

/// Each mapped file has threads that supply its pages: with more files than this, buffers serve as well.
constexpr std::size_t kMostMapped = 16;

}  // namespace

Outputs::Outputs(const Plan& plan, const std::filesystem::path& path, bool replace, const std::vector<io::FileId>& inputs) {
  if (plan.shards.empty()) {
    owned_.push_back(std::make_unique<io::OutputFile>(io::OutputFile::Request{
        .path = path, .head = serialize(plan.output), .n_bytes = plan.output_bytes(), .replace = replace, .inputs = inputs}));
    files_.push_back(owned_.back().get());
    return;
  }
  std::uint64_t n_more = plan.output_bytes();
  const auto mode = plan.shards.size() > kMostMapped ? io::WriteMode::calls : io::WriteMode::automatic;
  for (const OutputShard& shard : plan.shards) {
    const std::uint64_t n_bytes = shard.header.file_bytes();
    n_more -= n_bytes;
    owned_.push_back(std::make_unique<io::OutputFile>(io::OutputFile::Request{.path = path.parent_path() / shard.name,
                                                                              .head = serialize(shard.header),
                                                                              .n_bytes = n_bytes,
                                                                              .n_more = n_more,
                                                                              .replace = replace,
                                                                              .inputs = inputs,
                                                                              .mode = mode}));
    files_.push_back(owned_.back().get());
  }
  index_ = std::make_unique<io::OutputFile>(io::OutputFile::Request{.path = path.parent_path() / plan.index_name,
                                                                    .head = plan.index,
                                                                    .n_bytes = plan.index.size(),
                                                                    .replace = replace,
                                                                    .inputs = inputs,
                                                                    .mode = io::WriteMode::calls});
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
  for (io::OutputFile* file : files_) file->appear();
  if (index_) index_->appear();
}

}  // namespace halftone::api
