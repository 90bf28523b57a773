#include "io/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include <gmock/gmock.h>

#include "io/fault_guard.hpp"
#include "support/temp_folder.hpp"
#include "unit/fails_with.hpp"
#include "unit/files.hpp"

namespace halftone::io {
namespace {

namespace fs = std::filesystem;
using test::fails_with;
using test::write_file;

std::string_view text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class MappedFiles : public testing::Test {
 protected:
  [[nodiscard]] fs::path write_pages(std::size_t pages) const { return write_file(folder_ / "in", std::string(pages * page_, 'x')); }

  test::TempFolder folder_;
  const std::size_t page_ = static_cast<std::size_t>(::getpagesize());
};

TEST_F(MappedFiles, Bytes_are_those_of_the_file) {
  const MappedFile file(write_file(folder_ / "in", "hello"));
  EXPECT_EQ(text_of(file.bytes()), "hello");
  file.check();
}

TEST_F(MappedFiles, Empty_file_has_no_bytes) {
  const MappedFile file(write_file(folder_ / "in", ""));
  EXPECT_TRUE(file.bytes().empty());
  file.check();
}

TEST_F(MappedFiles, Missing_file_is_named) {
  EXPECT_THAT([&] { MappedFile(folder_ / "absent"); }, fails_with(ErrorKind::io, (folder_ / "absent").string(), "No such file"));
}

TEST_F(MappedFiles, Folder_is_refused) {
  EXPECT_THAT([&] { MappedFile(folder_.path()); }, fails_with(ErrorKind::io, "directory"));
}

TEST_F(MappedFiles, Device_is_refused) {
  EXPECT_THAT([&] { MappedFile("/dev/null"); }, fails_with(ErrorKind::io, "no regular file"));
}

TEST_F(MappedFiles, Id_tells_files_apart_and_links_not) {
  const fs::path path = write_file(folder_ / "in", "hello");
  fs::create_hard_link(path, folder_ / "hard");
  fs::create_symlink(path, folder_ / "soft");
  const FileId id = MappedFile(path).id();
  EXPECT_EQ(MappedFile(folder_ / "hard").id(), id);
  EXPECT_EQ(MappedFile(folder_ / "soft").id(), id);
  EXPECT_NE(MappedFile(write_file(folder_ / "other", "hello")).id(), id);
}

TEST_F(MappedFiles, Moved_file_keeps_mapping_and_guard) {
  MappedFile first(write_pages(2));
  const MappedFile second(std::move(first));
  ASSERT_EQ(::truncate(second.path().c_str(), 0), 0);
  EXPECT_EQ(second.bytes()[page_], std::byte{0});
  EXPECT_THAT([&] { second.check(); }, fails_with(ErrorKind::input_changed));
}

TEST_F(MappedFiles, Prefetch_and_release_change_no_byte) {
  const MappedFile file(write_pages(5));
  for (const std::size_t begin : {std::size_t{0}, std::size_t{1}, page_, 2 * page_ + 17}) {
    const auto part = file.bytes().subspan(begin);
    file.prefetch(part);
    file.release(part);
    file.release(part.first(1));
    EXPECT_EQ(text_of(part), std::string(part.size(), 'x'));
  }
  file.check();
}

TEST_F(MappedFiles, Lost_pages_read_as_zeros_and_are_reported) {
  const MappedFile file(write_pages(3));
  ASSERT_EQ(::truncate(file.path().c_str(), static_cast<off_t>(page_)), 0);
  EXPECT_EQ(text_of(file.bytes().subspan(page_)), std::string(2 * page_, '\0'));
  EXPECT_EQ(text_of(file.bytes().first(page_)), std::string(page_, 'x'));
  EXPECT_THAT([&] { file.check(); }, fails_with(ErrorKind::input_changed, file.path().string(), std::to_string(3 * page_)));
}

TEST_F(MappedFiles, Lost_page_is_reported_even_when_the_file_grew_back) {
  const MappedFile file(write_pages(3));
  struct stat before {};
  ASSERT_EQ(::stat(file.path().c_str(), &before), 0);
  ASSERT_EQ(::truncate(file.path().c_str(), 0), 0);
  EXPECT_EQ(file.bytes()[2 * page_], std::byte{0});
  ASSERT_EQ(::truncate(file.path().c_str(), static_cast<off_t>(3 * page_)), 0);
  const struct timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.path().c_str(), times, 0), 0);
  EXPECT_THAT([&] { file.check(); }, fails_with(ErrorKind::input_changed));
}

TEST_F(MappedFiles, Prefetch_of_a_lost_page_does_no_harm) {
  const MappedFile file(write_pages(2));
  ASSERT_EQ(::truncate(file.path().c_str(), 0), 0);
  file.prefetch(file.bytes());
  EXPECT_EQ(file.bytes()[0], std::byte{0});
}

TEST_F(MappedFiles, Truncation_is_reported_without_a_read) {
  const MappedFile file(write_pages(2));
  ASSERT_EQ(::truncate(file.path().c_str(), 7), 0);
  EXPECT_THAT([&] { file.check(); }, fails_with(ErrorKind::input_changed, "7 now"));
}

TEST_F(MappedFiles, Later_write_is_reported) {
  const MappedFile file(write_pages(1));
  const struct timespec times[] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = 1, .tv_nsec = 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.path().c_str(), times, 0), 0);
  EXPECT_THAT([&] { file.check(); }, fails_with(ErrorKind::input_changed, "was written to"));
}

using FaultGuardDeathTest = MappedFiles;

TEST_F(FaultGuardDeathTest, Fault_outside_every_range_still_ends_the_process) {
  const fs::path path = write_pages(2);
  EXPECT_DEATH(
      {
        const MappedFile guarded(path);
        const int fd = ::open(path.c_str(), O_RDWR);
        auto* data = static_cast<const volatile char*>(::mmap(nullptr, 2 * page_, PROT_READ, MAP_SHARED, fd, 0));
        if (::ftruncate(fd, 0) == 0) (void)data[page_];
      },
      "");
}

TEST(FaultGuard, More_ranges_than_slots_are_left_unguarded) {
  static const char memory[1] = {};
  std::vector<int> slots;
  for (int slot = guard_range(memory, 1); slot >= 0; slot = guard_range(memory, 1)) slots.push_back(slot);
  EXPECT_GE(slots.size(), 1000U);
  EXPECT_FALSE(guard_faulted(-1));
  unguard_range(-1);
  unguard_range(slots.back());
  EXPECT_EQ(guard_range(memory, 1), slots.back());
  for (const int slot : slots) unguard_range(slot);
}

TEST(FaultGuard, Fresh_range_has_no_fault) {
  static const char memory[1] = {};
  const int slot = guard_range(memory, 1);
  EXPECT_FALSE(guard_faulted(slot));
  unguard_range(slot);
}

}  // namespace
}  // namespace halftone::io
