#include "io/output_file.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <thread>

#include <halftone/safetensors.hpp>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "io/fault_guard.hpp"
#include "io/io_time.hpp"
#include "io/page_range.hpp"
#include "io/page_supply.hpp"
#include "io/partial_files.hpp"
#include "io/paths.hpp"

namespace halftone::io {
namespace {

namespace fs = std::filesystem;

FileId id_of(const struct stat& status) { return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)}; }

void refuse_inputs(const fs::path& path, const struct stat& status, const std::vector<FileId>& inputs, std::string_view what) {
  if (std::find(inputs.begin(), inputs.end(), id_of(status)) == inputs.end()) return;
  fail(ErrorKind::same_file, "the {} '{}' is the input itself; choose another name", what, path.string());
}

bool begins_with(std::span<const std::byte> bytes, std::string_view head) {
  return bytes.size() >= head.size() && std::memcmp(bytes.data(), head.data(), head.size()) == 0;
}

/// Bytes that an ordinary user may still write to the file system of `fd`.
std::uint64_t free_bytes(int fd) {
  struct statvfs status {};
  // Some file systems in user space report no sizes at all.
  if (::fstatvfs(fd, &status) != 0 || status.f_blocks == 0) return UINT64_MAX;
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

bool is_memory_backed(int fd) {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 && (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

/// False on kernels before 5.14, which do not know MADV_POPULATE_WRITE.
bool can_populate(int fd) {
  const auto page = static_cast<std::size_t>(::getpagesize());
  void* mapped = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return false;
  const bool known = ::madvise(mapped, page, MADV_POPULATE_WRITE) == 0;
  ::munmap(mapped, page);
  return known;
}

}  // namespace

bool is_whole(const fs::path& path, std::string_view head, std::uint64_t n_bytes) {
  if (!io::is_regular_file(path)) return false;
  const MappedFile file(path);
  return file.bytes().size() == n_bytes && begins_with(file.bytes(), head);
}

fs::path partial_path(const fs::path& output) {
  fs::path partial = output;
  partial += ".partial";
  return partial;
}

void refuse_inputs(const fs::path& path, const std::vector<FileId>& inputs, std::string_view what) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) refuse_inputs(path, status, inputs, what);
}

void check_folder_of(const fs::path& output) {
  if (partial_path(output).filename().native().size() > NAME_MAX) {
    fail(ErrorKind::io, "the name of '{}' is too long: it may have {} bytes, because '.partial' is added to it while the file is written",
         output.string(), NAME_MAX - partial_path({}).native().size());
  }
  const fs::path folder = output.parent_path().empty() ? fs::path(".") : output.parent_path();
  if (!is_folder(folder)) fail(ErrorKind::usage, "the output's folder '{}' does not exist", folder.string());
}

OutputFile::OutputFile(Request request)
    : path_(std::move(request.path)), head_(std::move(request.head)), n_bytes_(request.n_bytes), replace_(request.replace) {
  // Follow links, so that what a link points to is replaced and not the link.
  path_ = resolved(path_);
  partial_ = io::partial_path(path_);
  create(request);
  keep(kept_);
  try {
    reserve(request);
  } catch (...) {
    unmap();
    forget_partial(partial_slot_);
    if (!kept_) ::unlink(partial_.c_str());
    ::close(fd_);
    throw;
  }
}

void OutputFile::create(const Request& request) {
  check_folder_of(path_);
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0) {
    refuse_inputs(path_, status, request.inputs, "output");
    if (!S_ISREG(status.st_mode)) fail(ErrorKind::usage, "the output '{}' exists and is no regular file", path_.string());
    if (request.resume) take_back();
    if (!request.replace && io::exists(path_))
      fail(ErrorKind::output_exists, "the output '{}' exists; --force replaces it", path_.string());
  } else if (::lstat(path_.c_str(), &status) == 0) {
    fail(ErrorKind::usage, "the output '{}' is a link to a file that does not exist", path_.string());
  }
  // Between opening and locking, the conversion that held the file may have renamed or removed it;
  // then another one must be opened.
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (open_partial(request)) return;
  }
  fail(ErrorKind::io, "other conversions keep taking '{}'", partial_.string());
}

/// Whether the partial file is what a conversion leaves that was killed: empty, with a length field of
/// zero, or, in the instant before its renaming, with the whole head of this conversion.
bool OutputFile::is_left_over() const {
  const MappedFile file(partial_);
  const auto bytes = file.bytes();
  const auto length = bytes.first(std::min<std::size_t>(bytes.size(), kLengthBytes));
  const bool unfinished = std::all_of(length.begin(), length.end(), [](std::byte b) { return b == std::byte{0}; });
  if (unfinished && (bytes.empty() || bytes.size() >= kLengthBytes)) return true;
  return begins_with(bytes, head_);
}

bool OutputFile::open_partial(const Request& request) {
  struct stat named {};
  if (::lstat(partial_.c_str(), &named) == 0) refuse_inputs(partial_, named, request.inputs, "partial output");
  fd_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0 && (errno == EISDIR || errno == ELOOP)) {
    fail(ErrorKind::output_exists, "'{}' is in the way: it is a {}; move it elsewhere", partial_.string(),
         errno == EISDIR ? "folder" : "symbolic link");
  }
  if (fd_ < 0) fail(ErrorKind::io, "cannot create '{}': {}", partial_.string(), std::strerror(errno));
  struct stat opened {};
  const bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
  const bool known = ::fstat(fd_, &opened) == 0 && ::lstat(partial_.c_str(), &named) == 0;
  const bool same = known && id_of(opened) == id_of(named);
  const bool regular = known && S_ISREG(opened.st_mode);
  const bool usable = regular && opened.st_nlink == 1 && (!(locked && same) || is_left_over());
  if (locked && same && usable) return true;
  ::close(fd_);
  fd_ = -1;
  if (!locked) fail(ErrorKind::io, "another conversion is writing '{}'", partial_.string());
  if (same && !usable) {
    fail(ErrorKind::output_exists, "'{}' is in the way: it is {}; move it elsewhere", partial_.string(),
         regular && opened.st_nlink == 1 ? "no unfinished conversion, and perhaps somebody's data" : "no plain file of this name alone");
  }
  return false;
}

/// Gives the output its partial name again where the run that is resumed had renamed it already, but not all of
/// the files that appear with it: it has the head of this output, and there is no partial file.
void OutputFile::take_back() const {
  if (is_taken(partial_) || !is_whole(path_, head_, n_bytes_)) return;
  if (::rename(path_.c_str(), partial_.c_str()) == 0) return;
  fail(ErrorKind::io, "cannot rename '{}' to '{}': {}", path_.string(), partial_.string(), std::strerror(errno));
}

/// Makes sure that an earlier partial file is kept and loads nowhere; returns the bytes of disk that it has.
std::uint64_t OutputFile::take_over() {
  struct stat status {};
  if (::fstat(fd_, &status) != 0 || status.st_size == 0) return 0;
  kept_ = true;
  write_at(0, std::array<std::byte, kLengthBytes>{});
  constexpr std::uint64_t block_bytes = 512;  // of st_blocks, whatever the file system's blocks are
  return static_cast<std::uint64_t>(status.st_blocks) * block_bytes;
}

void OutputFile::reserve(const Request& request) {
  const std::uint64_t held = request.resume ? take_over() : 0;
  if (!kept_ && ::ftruncate(fd_, 0) != 0) fail_write(errno, n_bytes_);
  const std::uint64_t free = free_bytes(fd_);
  const std::uint64_t needed = base::checked_add(n_bytes_ - std::min(held, n_bytes_), request.n_more).value_or(UINT64_MAX);
  if (free < needed) {
    fail(ErrorKind::no_space, "'{}' needs {} of space, and only {} are free there", path_.string(), base::human_bytes(needed),
         base::human_bytes(free));
  }
  if (::ftruncate(fd_, static_cast<off_t>(n_bytes_)) != 0) fail_write(errno, n_bytes_);
  const bool in_memory = is_memory_backed(fd_);
  if (request.mode == WriteMode::mapping || (request.mode == WriteMode::automatic && in_memory)) map(request.is_filled_soon);
  // On tmpfs, reserving touches every page once more than filling it does; there the populating
  // of each window reports a full file system.
  if (in_memory && mapped_ != nullptr) return;
  while (n_bytes_ > 0 && ::fallocate(fd_, 0, 0, static_cast<off_t>(n_bytes_)) != 0) {
    if (errno == EOPNOTSUPP || errno == ENOSYS) return;
    if (errno != EINTR) fail_write(errno, n_bytes_);
  }
}

/// Maps the whole file once: mapping and unmapping window by window would make every thread wait
/// for the page tables of all others.  Where it cannot be mapped, windows are buffers.
void OutputFile::map(bool is_filled_soon) {
  if (n_bytes_ == 0 || !can_populate(fd_)) return;
  void* mapped = ::mmap(nullptr, n_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (mapped == MAP_FAILED) return;
  mapped_ = static_cast<std::byte*>(mapped);
  guard_slot_ = guard_range(mapped_, n_bytes_);
  // More than a quarter of the cores only waits for the locks of the file system.
  pages_ = std::make_unique<PageSupply>(mapped_, n_bytes_, is_filled_soon ? std::thread::hardware_concurrency() / 4 : 1);
  if (is_filled_soon) pages_->run_ahead();
}

void OutputFile::unmap() noexcept {
  pages_.reset();
  unguard_range(guard_slot_);
  if (mapped_ != nullptr) ::munmap(mapped_, n_bytes_);
  mapped_ = nullptr;
}

OutputFile::~OutputFile() {
  unmap();
  if (!committed_ && !kept_) ::unlink(partial_.c_str());
  forget_partial(partial_slot_);
  if (fd_ >= 0) ::close(fd_);
}

void OutputFile::keep(bool kept) noexcept {
  kept_ = kept;
  forget_partial(partial_slot_);
  partial_slot_ = kept ? -1 : remember_partial(partial_);
}

void OutputFile::fail_write(int error, std::uint64_t needed) const {
  if (error == ENOSPC || error == EDQUOT || (error == EFAULT && free_bytes(fd_) < needed)) {
    fail(ErrorKind::no_space, "no space left for '{}': it needs {} in all", path_.string(), base::human_bytes(n_bytes_));
  }
  fail(ErrorKind::io, "cannot write '{}': {}", partial_.string(), error == EFAULT ? "the file was lost" : std::strerror(error));
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const Stopwatch watch(io_time().writing);
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_write(n < 0 ? errno : EIO, bytes.size());
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void OutputFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(ErrorKind::io, "cannot read '{}': {}", partial_.string(), n < 0 ? std::strerror(errno) : "it was cut off");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void OutputFile::sync_data() const {
  while (::fdatasync(fd_) != 0) {
    if (errno != EINTR) fail_write(errno, 0);
  }
}

void OutputFile::sync() const {
  while (::fsync(fd_) != 0) {
    if (errno != EINTR) fail_write(errno, 0);
  }
}

/// Renames; an output that appeared meanwhile is replaced only where that was asked for.
bool OutputFile::publish() const {
  if (!replace_) {
    if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return false;
  }
  return ::rename(partial_.c_str(), path_.c_str()) == 0;
}

void OutputFile::complete() {
  const auto bytes = std::as_bytes(std::span(head_));
  write_at(kLengthBytes, bytes.subspan(kLengthBytes));
  sync();
  write_at(0, bytes.first(kLengthBytes));
  sync();
}

void OutputFile::appear() {
  if (!publish()) {
    fail(ErrorKind::io, "cannot rename '{}' to '{}': {}", partial_.string(), path_.string(), std::strerror(errno));
  }
  committed_ = true;
  forget_partial(partial_slot_);
  partial_slot_ = -1;
  const fs::path folder = path_.parent_path().empty() ? fs::path(".") : path_.parent_path();
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd < 0) return;
  // Some file systems cannot sync a folder; the file itself is complete and on disk.
  ::fsync(folder_fd);
  ::close(folder_fd);
}

OutputFile::Window::Window(OutputFile& file, std::uint64_t offset, std::uint64_t n_bytes)
    : file_(file), offset_(offset), n_bytes_(n_bytes) {
  if (n_bytes == 0) return;
  if (file.mapped_ == nullptr) {
    buffer_ = std::make_unique_for_overwrite<std::byte[]>(n_bytes);
    data_ = buffer_.get();
    return;
  }
  const Stopwatch watch(io_time().writing);
  data_ = file.mapped_ + offset;
  if (const int error = file.pages_->ensure(offset, n_bytes); error != 0) file.fail_write(error, n_bytes);
}

void OutputFile::Window::flush() {
  if (n_bytes_ == 0) return;
  if (buffer_) return file_.write_at(offset_, bytes());
  if (guard_faulted(file_.guard_slot_)) file_.fail_write(EFAULT, n_bytes_);
}

/// The pages of a mapped window leave the page table; the file keeps them.
OutputFile::Window::~Window() {
  if (data_ == nullptr || buffer_) return;
  const PageRange pages = pages_of(offset_, n_bytes_, true);
  if (pages.end > pages.begin) ::madvise(file_.mapped_ + pages.begin, pages.end - pages.begin, MADV_DONTNEED);
}

}  // namespace halftone::io
