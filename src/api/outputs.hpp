#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include <halftone/plan.hpp>

#include "io/output_file.hpp"

namespace halftone::api {

/// The files that a plan writes: one, or shards and their index; and that of low-rank corrections.  They appear under
/// their names at commit(), the index last; until then, and after an error, none of them is there.
class Outputs {
 public:
  struct Request {
    std::filesystem::path path;      ///< of the one file; shards are beside it
    std::filesystem::path lora;      ///< of the low-rank corrections, where the plan has some
    bool replace = false;            ///< existing files may be replaced
    bool resume = false;             ///< partial files that are there keep their bytes
    std::vector<io::FileId> inputs;  ///< that must not be written to
  };

  /// Throws as io::OutputFile.
  Outputs(const Plan& plan, const Request& request);

  /// By Place::file; the file of low-rank corrections is the last.
  [[nodiscard]] std::span<io::OutputFile* const> files() const noexcept { return files_; }
  /// What the user should know of files beside the output, each one sentence.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }
  /// Whether the partial files stay when there is no commit().
  void keep(bool kept) noexcept;
  /// Throws no_space or io.
  void commit();

 private:
  void open_model(const Plan& plan, const Request& request);
  void open_lora(const Plan& plan, const Request& request);
  void open(const io::OutputFile::Request& file);
  /// Throws output_exists where an index beside a single file would hide it, and may not stay.
  void check_old_index(const Request& request);

  std::vector<std::unique_ptr<io::OutputFile>> owned_;
  std::vector<io::OutputFile*> files_;
  std::unique_ptr<io::OutputFile> index_;
  std::vector<std::string> notes_;
};

}  // namespace halftone::api
