#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/model.hpp>

#include "io/mapped_file.hpp"

namespace halftone::io {

/// A model on disk: its index and its mapped files.
class ModelFiles {
 public:
  /// Opens a safetensors file, a shard index (`….json`), or a folder that holds one model.
  /// Every sentence begins with the path that is at fault.
  explicit ModelFiles(const std::filesystem::path& path);

  /// A file and what is its header, whether or not that stands in the file yet.
  struct Part {
    std::filesystem::path path;
    const Header& header;
  };
  /// The files `parts` of one model.  Throws io.
  explicit ModelFiles(const std::vector<Part>& parts);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] const ModelIndex& index() const noexcept { return index_; }
  [[nodiscard]] const std::vector<MappedFile>& files() const noexcept { return files_; }
  /// Of every file that was read, the shard index included.
  [[nodiscard]] std::vector<FileId> ids() const;

  /// The bytes of `tensor` in its mapped file.
  [[nodiscard]] std::span<const std::byte> bytes(const ModelTensor& tensor) const noexcept;
  /// The texts that describe quantized layers, each of at most 64 KiB.  Throws bad_quantization for a larger one.
  [[nodiscard]] SideTexts side_texts() const;
  /// The values of the tensors of one float (F32, BF16, F16) whose names end in `suffix`.
  [[nodiscard]] std::map<std::string, float, std::less<>> scalars(std::string_view suffix) const;
  /// Throws input_changed where a file changed or failed since it was opened.
  void check() const;

 private:
  std::filesystem::path path_;
  std::optional<FileId> index_id_;
  std::vector<MappedFile> files_;
  ModelIndex index_;
};

}  // namespace halftone::io
