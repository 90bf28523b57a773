#include "io/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/fail.hpp"

namespace halftone::io {
namespace {

namespace fs = std::filesystem;

/// All of an open file.  Throws io.
std::string text_of(int fd, const fs::path& path) {
  std::string text;
  char piece[65536];
  while (true) {
    const ssize_t n = ::pread(fd, piece, sizeof piece, static_cast<off_t>(text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorKind::io, "cannot read '{}': {}", path.string(), std::strerror(errno));
    if (n == 0) return text;
    text.append(piece, static_cast<std::size_t>(n));
  }
}

/// Whether `text` is a journal, or the beginning of one that was not written to its end; zeros are what a
/// power failure makes of it.
bool is_journal(std::string_view text) {
  const std::string_view mark = text.substr(0, kIdentityMark.size());
  return kIdentityMark.starts_with(mark) || text.find_first_not_of('\0') == std::string_view::npos;
}

std::string line_of(const Journal::Record& record) {
  return fmt::format("{} {:016x}{}{}\n", record.job, record.digest, record.note.empty() ? "" : " ", record.note);
}

/// The record that the line `whole`, without its end, was made from.
std::optional<Journal::Record> record_of(const std::string_view whole) {
  std::string_view line = whole;
  Journal::Record record;
  const std::string_view job = line.substr(0, line.find(' '));
  std::from_chars(job.data(), job.data() + job.size(), record.job);
  line.remove_prefix(std::min(job.size() + 1, line.size()));
  const std::string_view digest = line.substr(0, line.find(' '));
  std::from_chars(digest.data(), digest.data() + digest.size(), record.digest, 16);
  record.note = line.substr(std::min(digest.size() + 1, line.size()));
  // Exactly what would be written: anything else is no whole record.
  const std::string exact = line_of(record);
  if (whole != std::string_view(exact).substr(0, exact.size() - 1)) return std::nullopt;
  return record;
}

void sync_folder(const fs::path& path) {
  const fs::path folder = path.parent_path().empty() ? fs::path(".") : path.parent_path();
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  // Some file systems cannot sync a folder.
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

Journal::Journal(fs::path path) : path_(std::move(path)) {
  // Between opening and locking, the run that held the journal may have removed it.
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (open()) return;
  }
  fail(ErrorKind::io, "other conversions keep taking '{}'", path_.string());
}

bool Journal::open() {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (fd_ < 0 && (errno == EISDIR || errno == ELOOP)) {
    fail(ErrorKind::output_exists, "'{}' is in the way: it is no journal of a conversion; move it elsewhere", path_.string());
  }
  if (fd_ < 0) fail(ErrorKind::io, "cannot open '{}': {}", path_.string(), std::strerror(errno));
  try {
    struct stat opened {};
    struct stat named {};
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) fail(ErrorKind::io, "another conversion is writing '{}'", path_.string());
    if (::fstat(fd_, &opened) == 0 && ::lstat(path_.c_str(), &named) == 0 && opened.st_ino == named.st_ino) {
      const bool plain = S_ISREG(opened.st_mode) && opened.st_nlink == 1;
      const std::string text = plain ? text_of(fd_, path_) : "";
      if (!plain || !is_journal(text)) {
        fail(ErrorKind::output_exists, "'{}' is in the way: it is no journal of a conversion; move it elsewhere", path_.string());
      }
      parse(text);
      return true;
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
  ::close(fd_);
  return false;
}

void Journal::parse(std::string_view text) {
  std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return;
  begun_ = true;
  identity_ = RunIdentity::from_line(text.substr(0, end));
  end_ = end + 1;
  while (identity_ && (end = text.find('\n', end_)) != std::string_view::npos) {
    auto record = record_of(text.substr(end_, end - end_));
    if (!record) return;
    const std::uint64_t job = record->job;
    records_[job] = std::move(*record);
    end_ = end + 1;
  }
}

Journal::~Journal() {
  // Nothing was begun: this file says nothing that its absence does not.
  if (!begun_ && fd_ >= 0) ::unlink(path_.c_str());
  if (fd_ >= 0) ::close(fd_);
}

void Journal::begin(const RunIdentity& identity) {
  cut(0);
  records_.clear();
  identity_ = identity;
  begun_ = true;
  add(identity.to_line());
  sync_folder(path_);
}

void Journal::go_on() { cut(end_); }

void Journal::append(std::span<const Record> records) {
  std::string text;
  for (const Record& record : records) text += line_of(record);
  add(text);
}

void Journal::remove() noexcept {
  ::unlink(path_.c_str());
  begun_ = false;
  ::close(fd_);
  fd_ = -1;
}

void Journal::cut(std::uint64_t n_bytes) {
  if (::ftruncate(fd_, static_cast<off_t>(n_bytes)) != 0) fail_write(errno);
  end_ = n_bytes;
}

/// Writes `text` behind what is there, and syncs.
void Journal::add(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::pwrite(fd_, text.data(), text.size(), static_cast<off_t>(end_));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_write(n < 0 ? errno : EIO);
    text.remove_prefix(static_cast<std::size_t>(n));
    end_ += static_cast<std::uint64_t>(n);
  }
  while (::fdatasync(fd_) != 0) {
    if (errno != EINTR) fail_write(errno);
  }
}

void Journal::fail_write(int error) const {
  const ErrorKind kind = error == ENOSPC || error == EDQUOT ? ErrorKind::no_space : ErrorKind::io;
  fail(kind, "cannot write '{}': {}", path_.string(), std::strerror(error));
}

void remove_journal(const fs::path& path) noexcept {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  char mark[kIdentityMark.size()];
  const bool ours =
      ::pread(fd, mark, sizeof mark, 0) == static_cast<ssize_t>(sizeof mark) && std::string_view(mark, sizeof mark) == kIdentityMark;
  // One that is locked belongs to a run that is going on.
  if (ours && ::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
  ::close(fd);
}

}  // namespace halftone::io
