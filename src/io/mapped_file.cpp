#include "io/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fail.hpp"
#include "io/fault_guard.hpp"
#include "io/io_time.hpp"
#include "io/page_range.hpp"

namespace halftone::io {
namespace {

std::int64_t modification_ns(const struct stat& status) {
  return static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  // Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) fail(ErrorKind::io, "cannot open '{}': {}", path.string(), std::strerror(errno));
  struct stat status {};
  const bool known = ::fstat(fd_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const int error = known ? (S_ISDIR(status.st_mode) ? EISDIR : EINVAL) : errno;
    ::close(fd_);
    fail(ErrorKind::io, "cannot read '{}': {}", path.string(), error == EINVAL ? "it is no regular file" : std::strerror(error));
  }
  n_bytes_ = static_cast<std::uint64_t>(status.st_size);
  modified_ns_ = modification_ns(status);
  id_ = {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)};
  if (n_bytes_ == 0) return;
  void* mapped = ::mmap(nullptr, n_bytes_, PROT_READ, MAP_SHARED, fd_, 0);
  if (mapped == MAP_FAILED) {
    const int error = errno;
    ::close(fd_);
    fail(ErrorKind::io, "cannot map '{}' into memory: {}", path.string(), std::strerror(error));
  }
  data_ = static_cast<std::byte*>(mapped);
  guard_slot_ = guard_range(data_, n_bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      n_bytes_(std::exchange(other.n_bytes_, 0)),
      modified_ns_(other.modified_ns_),
      id_(other.id_),
      guard_slot_(std::exchange(other.guard_slot_, -1)) {}

MappedFile::~MappedFile() {
  unguard_range(guard_slot_);
  if (data_ != nullptr) ::munmap(data_, n_bytes_);
  if (fd_ >= 0) ::close(fd_);
}

void MappedFile::prefetch(std::span<const std::byte> part) const noexcept {
  const Stopwatch watch(io_time().reading);
  const PageRange range = pages_of(static_cast<std::uint64_t>(part.data() - data_), part.size(), false);
  // A failure (an old kernel, a lost page) shows itself at the access instead.
  ::madvise(data_ + range.begin, range.end - range.begin, MADV_POPULATE_READ);
}

void MappedFile::release(std::span<const std::byte> part) const noexcept {
  const PageRange range = pages_of(static_cast<std::uint64_t>(part.data() - data_), part.size(), true);
  if (range.end > range.begin) ::madvise(data_ + range.begin, range.end - range.begin, MADV_DONTNEED);
}

void MappedFile::check() const {
  struct stat status {};
  const bool known = ::fstat(fd_, &status) == 0;
  const bool lost = guard_faulted(guard_slot_) || !known;
  if (!lost && static_cast<std::uint64_t>(status.st_size) == n_bytes_ && modification_ns(status) == modified_ns_) return;
  const auto now = static_cast<std::uint64_t>(status.st_size);
  if (!lost && now == n_bytes_) {
    fail(ErrorKind::input_changed, "'{}' was written to while it was read", path_.string());
  }
  fail(ErrorKind::input_changed, "'{}' could not be read to its end: it had {} bytes when it was opened and has {} now", path_.string(),
       n_bytes_, now);
}

std::string text_of_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace halftone::io
