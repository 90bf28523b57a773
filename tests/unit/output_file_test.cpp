#include "io/output_file.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <thread>

#include <gmock/gmock.h>

#include "support/model_file.hpp"
#include "support/temp_folder.hpp"
#include "unit/fails_with.hpp"
#include "unit/files.hpp"
#include "unit/raw_file.hpp"

namespace halftone::io {

void PrintTo(WriteMode mode, std::ostream* out) {
  switch (mode) {
    case WriteMode::automatic: *out << "automatic"; return;
    case WriteMode::mapping: *out << "mapping"; return;
    case WriteMode::calls: *out << "calls"; return;
  }
}

namespace {

namespace fs = std::filesystem;
using test::fails_with;
using test::names_in;
using test::read_bytes;
using test::write_file;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kHead = test::length_field(8) + "{}      ";

/// `n` bytes that differ from place to place, also at distances of a page.
std::string pattern(std::size_t n) {
  std::string bytes(n, '\0');
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>(i * 7 + i / 4096 + 1);
  return bytes;
}

/// Writes `text` at `offset` through a window.
void put(OutputFile& file, std::uint64_t offset, std::string_view text) {
  OutputFile::Window window(file, offset, text.size());
  const auto bytes = std::as_bytes(std::span(text));
  std::copy(bytes.begin(), bytes.end(), window.bytes().begin());
  window.flush();
}

class OutputFiles : public testing::TestWithParam<WriteMode> {
 protected:
  [[nodiscard]] OutputFile::Request request(std::uint64_t n_bytes, std::vector<FileId> inputs = {}, bool replace = false) const {
    return {
        .path = folder_ / "out", .head = kHead, .n_bytes = n_bytes, .replace = replace, .inputs = std::move(inputs), .mode = GetParam()};
  }
  test::TempFolder folder_;
};

TEST_P(OutputFiles, Windows_hold_what_is_put_into_them_where_pages_come_late) {
  constexpr std::size_t n = 9 << 20;  // more than two pieces that are supplied at once
  auto wanted = request(n);
  wanted.is_filled_soon = false;
  const std::string text = pattern(n - kHead.size());
  OutputFile file(wanted);
  const std::size_t half = text.size() / 2;
  put(file, kHead.size() + half, text.substr(half));
  put(file, kHead.size(), text.substr(0, half));
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead + text);
}

INSTANTIATE_TEST_SUITE_P(Modes, OutputFiles, testing::Values(WriteMode::automatic, WriteMode::mapping, WriteMode::calls),
                         testing::PrintToStringParamName());

TEST_P(OutputFiles, Every_mode_gives_the_bytes_that_were_put) {
  // Pieces begin and end inside pages; the last one is a single byte.
  const std::string data = pattern(20'011);
  OutputFile file(request(kHead.size() + data.size()));
  for (const auto& [begin, end] : {std::pair{0, 1}, {1, 4095}, {4095, 4096}, {4096, 9000}, {9000, 20'010}, {20'010, 20'011}}) {
    const auto from = static_cast<std::size_t>(begin);
    put(file, kHead.size() + from, std::string_view(data).substr(from, static_cast<std::size_t>(end) - from));
  }
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead + data);
}

TEST_P(OutputFiles, Commit_leaves_only_the_output) {
  OutputFile file(request(kHead.size()));
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("out.partial"));
  file.commit();
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("out"));
}

TEST_P(OutputFiles, Without_commit_nothing_is_left) {
  {
    OutputFile file(request(5000));
    put(file, 100, "bytes");
  }
  EXPECT_THAT(names_in(folder_.path()), IsEmpty());
}

TEST_P(OutputFiles, Partial_file_is_no_safetensors_file) {
  OutputFile file(request(kHead.size() + 4));
  put(file, kHead.size(), "data");
  file.write_at(kLengthBytes, std::as_bytes(std::span(kHead)).subspan(kLengthBytes));
  EXPECT_THAT([&] { (void)test::parse_bytes(read_bytes(folder_ / "out.partial")); }, fails_with(ErrorKind::header_not_json));
}

TEST_P(OutputFiles, Unwritten_bytes_are_zero_over_a_stale_partial_file) {
  write_file(folder_ / "out.partial", std::string(8, '\0') + std::string(10'000, '!'));
  OutputFile file(request(kHead.size() + 100));
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead + std::string(100, '\0'));
}

TEST_P(OutputFiles, Kept_file_is_taken_over_with_its_bytes) {
  {
    OutputFile file(request(kHead.size() + 5000));
    put(file, kHead.size() + 100, "first");
    file.sync_data();
    file.keep(true);
  }
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("out.partial"));
  OutputFile::Request again = request(kHead.size() + 5000);
  again.resume = true;
  {
    OutputFile file(again);
    std::string read(9, 'x');
    file.read_at(kHead.size() + 98, std::as_writable_bytes(std::span(read)));
    EXPECT_EQ(read, std::string("\0\0first\0\0", 9));
  }
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("out.partial")) << "what was taken over stays after an error";
  OutputFile file(again);
  put(file, kHead.size() + 4996, "last");
  file.commit();
  std::string data(5000, '\0');
  data.replace(100, 5, "first").replace(4996, 4, "last");
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead + data);
}

TEST_P(OutputFiles, File_taken_over_after_its_completion_loads_no_longer) {
  write_file(folder_ / "out.partial", kHead + "data");
  OutputFile::Request again = request(kHead.size() + 4);
  again.resume = true;
  const OutputFile file(again);
  EXPECT_EQ(read_bytes(folder_ / "out.partial"), std::string(8, '\0') + kHead.substr(8) + "data");
}

TEST_P(OutputFiles, Foreign_file_is_not_taken_over) {
  write_file(folder_ / "out.partial", "notes of somebody");
  OutputFile::Request again = request(100);
  again.resume = true;
  EXPECT_THAT([&] { OutputFile{again}; }, fails_with(ErrorKind::output_exists, "in the way"));
  EXPECT_EQ(read_bytes(folder_ / "out.partial"), "notes of somebody");
}

TEST_P(OutputFiles, Nothing_to_take_over_is_a_new_file) {
  OutputFile::Request first = request(kHead.size());
  first.resume = true;
  { OutputFile file(first); }
  EXPECT_THAT(names_in(folder_.path()), IsEmpty());
}

TEST_P(OutputFiles, Reading_behind_the_end_is_an_error) {
  const OutputFile file(request(100));
  std::string read(10, 'x');
  EXPECT_THAT([&] { file.read_at(95, std::as_writable_bytes(std::span(read))); }, fails_with(ErrorKind::io, "out.partial"));
}

TEST_P(OutputFiles, Whole_model_under_the_partial_name_is_refused_and_kept) {
  const std::string json = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  const std::string model = test::length_field(json.size()) + json + "abcd";
  write_file(folder_ / "out.partial", model);
  EXPECT_THAT([&] { OutputFile(request(100)); }, fails_with(ErrorKind::output_exists, "out.partial", "in the way"));
  EXPECT_EQ(read_bytes(folder_ / "out.partial"), model);
}

TEST_P(OutputFiles, File_under_the_partial_name_that_no_conversion_left_is_refused_and_kept) {
  for (const char* foreign : {"a", "notes of somebody", "PK\x03\x04 and more"}) {
    write_file(folder_ / "out.partial", foreign);
    EXPECT_THAT([&] { OutputFile(request(100)); }, fails_with(ErrorKind::output_exists, "out.partial", "in the way"));
    EXPECT_EQ(read_bytes(folder_ / "out.partial"), foreign);
  }
}

TEST_P(OutputFiles, Empty_partial_file_is_taken_over) {
  write_file(folder_ / "out.partial", "");
  OutputFile file(request(kHead.size()));
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead);
}

TEST_P(OutputFiles, Run_that_was_killed_before_its_rename_can_be_repeated) {
  write_file(folder_ / "out.partial", kHead);
  OutputFile file(request(kHead.size()));
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead);
}

TEST_P(OutputFiles, Link_to_nothing_is_refused) {
  fs::create_symlink(folder_ / "absent", folder_ / "out");
  EXPECT_THAT([&] { OutputFile(request(100)); }, fails_with(ErrorKind::usage, "link"));
}

TEST_P(OutputFiles, Empty_window_writes_nothing) {
  OutputFile file(request(kHead.size()));
  put(file, kHead.size(), "");
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead);
}

TEST_P(OutputFiles, Threads_may_write_windows_that_share_pages) {
  const std::string data = pattern(300'000);
  constexpr std::size_t piece = 1'237;  // far below a page, and prime
  constexpr std::size_t threads = 8;
  OutputFile file(request(kHead.size() + data.size()));
  std::vector<std::thread> pool;
  for (std::size_t t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      for (std::size_t at = t * piece; at < data.size(); at += threads * piece)
        put(file, kHead.size() + at, std::string_view(data).substr(at, piece));
    });
  }
  for (std::thread& thread : pool) thread.join();
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead + data);
}

TEST_P(OutputFiles, Window_in_use_stays_valid_while_others_come_and_go) {
  OutputFile file(request(kHead.size() + 8192));
  OutputFile::Window outer(file, kHead.size(), 8192);
  std::memset(outer.bytes().data(), 'a', 8192);
  put(file, kHead.size() + 100, "inner");
  outer.flush();
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out").substr(kHead.size() + 8000), std::string(192, 'a'));
}

TEST_P(OutputFiles, Input_itself_is_refused_even_with_replace) {
  const fs::path path = write_file(folder_ / "out", "input");
  for (const bool replace : {false, true}) {
    EXPECT_THAT([&] { OutputFile(request(100, {MappedFile(path).id()}, replace)); }, fails_with(ErrorKind::same_file, path.string()));
  }
  EXPECT_EQ(read_bytes(path), "input");
}

TEST_P(OutputFiles, Links_to_the_input_are_refused) {
  const fs::path input = write_file(folder_ / "in", "input");
  fs::create_hard_link(input, folder_ / "out");
  EXPECT_THAT([&] { OutputFile(request(100, {MappedFile(input).id()}, true)); }, fails_with(ErrorKind::same_file));
  fs::remove(folder_ / "out");
  fs::create_symlink(input, folder_ / "out");
  EXPECT_THAT([&] { OutputFile(request(100, {MappedFile(input).id()}, true)); }, fails_with(ErrorKind::same_file));
}

TEST_P(OutputFiles, Input_under_the_partial_name_is_refused_and_kept) {
  const fs::path input = write_file(folder_ / "out.partial", "input");
  EXPECT_THAT([&] { OutputFile(request(100, {MappedFile(input).id()})); }, fails_with(ErrorKind::same_file, "partial"));
  EXPECT_EQ(read_bytes(input), "input");
}

TEST_P(OutputFiles, Existing_output_is_refused_without_replace) {
  write_file(folder_ / "out", "old");
  EXPECT_THAT([&] { OutputFile(request(100)); }, fails_with(ErrorKind::output_exists, "--force"));
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("out"));
}

TEST_P(OutputFiles, Existing_output_stays_until_commit) {
  write_file(folder_ / "out", "old");
  OutputFile file(request(kHead.size(), {}, true));
  EXPECT_EQ(read_bytes(folder_ / "out"), "old");
  file.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead);
}

TEST_P(OutputFiles, Link_is_followed_to_what_it_names) {
  fs::create_directory(folder_ / "real");
  write_file(folder_ / "real" / "model", "old");
  fs::create_symlink(folder_ / "real" / "model", folder_ / "out");
  OutputFile file(request(kHead.size(), {}, true));
  file.commit();
  EXPECT_TRUE(fs::is_symlink(folder_ / "out"));
  EXPECT_EQ(read_bytes(folder_ / "real" / "model"), kHead);
}

TEST_P(OutputFiles, Missing_folder_is_named) {
  OutputFile::Request wanted = request(100);
  wanted.path = folder_ / "absent" / "out";
  EXPECT_THAT([&] { OutputFile{wanted}; }, fails_with(ErrorKind::usage, "absent", "does not exist"));
}

TEST_P(OutputFiles, Folder_is_no_output) {
  fs::create_directory(folder_ / "out");
  EXPECT_THAT([&] { OutputFile(request(100, {}, true)); }, fails_with(ErrorKind::usage, "no regular file"));
}

TEST_P(OutputFiles, Second_writer_of_one_output_is_refused) {
  OutputFile first(request(kHead.size()));
  EXPECT_THAT([&] { OutputFile(request(kHead.size())); }, fails_with(ErrorKind::io, "another conversion"));
  first.commit();
  EXPECT_EQ(read_bytes(folder_ / "out"), kHead);
}

TEST_P(OutputFiles, Output_larger_than_the_disk_is_refused_at_once) {
  EXPECT_THAT([&] { OutputFile(request(std::uint64_t{1} << 55)); }, fails_with(ErrorKind::no_space, "32768 TiB"));
  EXPECT_THAT(names_in(folder_.path()), IsEmpty());
}

}  // namespace
}  // namespace halftone::io
