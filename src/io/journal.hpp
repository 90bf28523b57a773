#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "io/run_identity.hpp"

namespace halftone::io {

/// The file beside an unfinished output that says which of its parts are on disk: a line with the
/// identity of the run, then a line for each finished job: its number, the digest of what it wrote and, where there is one, a note.
/// A line that was not written to its end ends the journal.  A journal that is open is locked.
class Journal {
 public:
  struct Record {
    std::uint64_t job = 0;
    std::uint64_t digest = 0;
    std::string note = {};  ///< one line, without its end
  };

  /// Opens the journal `path`, or makes an empty one.  It is not changed before begin() or go_on(); one
  /// that is made and never begun is removed.
  /// Throws output_exists where the file is no journal, io where it cannot be opened or another run has it.
  explicit Journal(std::filesystem::path path);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Whether a run has begun this journal.
  [[nodiscard]] bool is_begun() const noexcept { return begun_; }
  /// Of that run; nothing where it is of another revision of journals, or damaged.
  [[nodiscard]] const std::optional<RunIdentity>& identity() const noexcept { return identity_; }
  /// What was found, by job; the last record of each job counts.
  [[nodiscard]] const std::map<std::uint64_t, Record>& records() const noexcept { return records_; }

  /// Begins anew: what was found is forgotten.  Returns when the first line is on disk.  Throws no_space or io.
  void begin(const RunIdentity& identity);
  /// Goes on behind the last whole record.  Throws io.
  void go_on();
  /// Adds records; returns when they are on disk.  Throws no_space or io.
  void append(std::span<const Record> records);
  /// Removes the file; the output is complete.
  void remove() noexcept;

 private:
  [[nodiscard]] bool open();
  void parse(std::string_view text);
  void add(std::string_view text);
  void cut(std::uint64_t n_bytes);
  [[noreturn]] void fail_write(int error) const;

  std::filesystem::path path_;
  int fd_ = -1;
  bool begun_ = false;
  std::optional<RunIdentity> identity_;
  std::map<std::uint64_t, Record> records_;
  std::uint64_t end_ = 0;  ///< of the last whole line
};

/// Removes the journal at `path` if there is one; another file of that name stays.
void remove_journal(const std::filesystem::path& path) noexcept;

}  // namespace halftone::io
