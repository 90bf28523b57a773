#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace halftone::io {

/// Identity of a file on this machine: equal for two paths exactly when they are one file.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileId&, const FileId&) = default;
};

/// A file mapped read-only.  Losing the file while it is mapped (truncated, a failing disk)
/// does not end the process: the lost pages read as zeros and check() reports them.
class MappedFile {
 public:
  /// Throws io where the file cannot be opened or mapped.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, n_bytes_}; }
  [[nodiscard]] FileId id() const noexcept { return id_; }
  /// When the file was last written to, in nanoseconds since 1970.
  [[nodiscard]] std::int64_t modified_ns() const noexcept { return modified_ns_; }

  /// Reads `part` of bytes() ahead into the page cache and the page table in one call.
  void prefetch(std::span<const std::byte> part) const noexcept;
  /// Drops the pages that `part` of bytes() covers whole; the page cache keeps them.
  void release(std::span<const std::byte> part) const noexcept;

  /// Throws input_changed if a page was lost, or if size or modification time differ from when
  /// the file was opened: what was read may then be no consistent state of the file.
  void check() const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::byte* data_ = nullptr;
  std::uint64_t n_bytes_ = 0;
  std::int64_t modified_ns_ = 0;
  FileId id_;
  int guard_slot_ = -1;
};

/// The contents of a small file.  Throws io.
[[nodiscard]] std::string text_of_file(const std::filesystem::path& path);

}  // namespace halftone::io
