#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include <halftone/plan.hpp>

#include "io/output_file.hpp"

namespace halftone::api {

/// The files that a plan writes: one, or shards and their index.  They appear under their names at commit(), the
/// index last; until then, and after an error, none of them is there.
class Outputs {
 public:
  /// `path` is that of the one file; shards are beside it.  Throws as io::OutputFile.
  Outputs(const Plan& plan, const std::filesystem::path& path, bool replace, const std::vector<io::FileId>& inputs);

  /// By Place::file.
  [[nodiscard]] std::span<io::OutputFile* const> files() const noexcept { return files_; }
  /// Throws no_space or io.
  void commit();

 private:
  std::vector<std::unique_ptr<io::OutputFile>> owned_;
  std::vector<io::OutputFile*> files_;
  std::unique_ptr<io::OutputFile> index_;
};

}  // namespace halftone::api
