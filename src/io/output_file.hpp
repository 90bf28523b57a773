#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/mapped_file.hpp"
#include "io/page_supply.hpp"

namespace halftone::io {

/// How bytes reach the output file.
enum class WriteMode {
  automatic,  ///< mapping on memory-backed file systems, calls elsewhere
  mapping,    ///< stores into a shared mapping of the whole file, with pages supplied ahead of the windows
  calls,      ///< pwrite from a buffer
};

/// `<output>.partial`, the name of an output until it is complete.
[[nodiscard]] std::filesystem::path partial_path(const std::filesystem::path& output);

/// Throws same_file where `path`, called `what` in the sentence, is one of `inputs`.
void refuse_inputs(const std::filesystem::path& path, const std::vector<FileId>& inputs, std::string_view what);

/// Throws usage where there is no folder for the file `output`, io where its name leaves no room for `.partial`.
void check_folder_of(const std::filesystem::path& output);

/// A file of known size that is filled at offsets by several threads and appears under its name
/// only when it is complete and on disk.  Until then it is `<name>.partial`, whose length field is
/// zero so that no safetensors reader accepts it; it is removed unless commit() succeeds or keep() was called.
class OutputFile {
 public:
  struct Request {
    std::filesystem::path path;
    std::string head;            ///< how the file begins: length field and header
    std::uint64_t n_bytes = 0;   ///< of the whole file
    std::uint64_t n_more = 0;    ///< of files beside it that will be written, too: there must be space for all
    bool replace = false;        ///< an existing file of this name may be replaced
    std::vector<FileId> inputs;  ///< files that must not be written to
    WriteMode mode = WriteMode::automatic;
    bool resume = false;         ///< a partial file that is there keeps its bytes, and stays after an error
    bool is_filled_soon = true;  ///< else pages of a mapping get memory from the first window on, and by one thread
  };

  /// Checks everything that can be checked before work starts, creates the partial file and
  /// reserves its space.
  /// Throws same_file, output_exists, usage (no such folder, not a regular file), no_space, io.
  /// A partial file that is there already is written over where a killed conversion left it; any other
  /// file of that name is refused (output_exists).
  explicit OutputFile(Request request);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// A writable piece of the file.  The bytes written to it reach the file at flush().
  class Window {
   public:
    Window(OutputFile& file, std::uint64_t offset, std::uint64_t n_bytes);
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    ~Window();

    [[nodiscard]] std::span<std::byte> bytes() noexcept { return {data_, n_bytes_}; }
    /// Throws no_space or io where the bytes could not be stored.
    void flush();

   private:
    OutputFile& file_;
    std::uint64_t offset_;
    std::uint64_t n_bytes_;
    std::byte* data_ = nullptr;
    std::unique_ptr<std::byte[]> buffer_;
  };

  /// Writes `bytes` at `offset` by a call.  Throws no_space or io.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Reads what was written at `offset`, or zeros where nothing was.  Throws io.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Returns when everything written so far is on disk.  Throws no_space or io.
  void sync_data() const;
  /// Whether the partial file stays when there is no commit().
  void keep(bool kept) noexcept;

  /// Writes the head with its 8 length bytes last, and syncs.  Throws no_space or io.
  void complete();
  /// Renames and syncs the folder.  Throws io.
  void appear();
  /// Both.
  void commit() {
    complete();
    appear();
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// The file as it is called until commit().
  [[nodiscard]] const std::filesystem::path& partial_path() const noexcept { return partial_; }

 private:
  void create(const Request& request);
  [[nodiscard]] bool open_partial(const Request& request);
  [[nodiscard]] bool is_left_over() const;
  void take_back() const;
  [[nodiscard]] std::uint64_t take_over();
  void reserve(const Request& request);
  void map(bool is_filled_soon);
  void unmap() noexcept;
  void sync() const;
  [[nodiscard]] bool publish() const;
  [[noreturn]] void fail_write(int error, std::uint64_t needed) const;

  std::filesystem::path path_;
  std::filesystem::path partial_;
  std::string head_;
  std::uint64_t n_bytes_ = 0;
  int fd_ = -1;
  std::byte* mapped_ = nullptr;        ///< the whole file, where windows are pieces of a mapping
  std::unique_ptr<PageSupply> pages_;  ///< of the mapping
  int guard_slot_ = -1;
  int partial_slot_ = -1;  ///< of remember_partial(), while the partial file does not stay
  bool replace_ = false;
  bool committed_ = false;
  bool kept_ = false;
};

/// Whether `path` is a file of `n_bytes` bytes that begin with `head`: what a conversion leaves that has completed it.
[[nodiscard]] bool is_whole(const std::filesystem::path& path, std::string_view head, std::uint64_t n_bytes);

}  // namespace halftone::io
