#include "io/journal.hpp"

#include <gmock/gmock.h>

#include "support/model_file.hpp"
#include "support/temp_folder.hpp"
#include "unit/fails_with.hpp"
#include "unit/files.hpp"

namespace halftone::io {
namespace {

namespace fs = std::filesystem;
using test::fails_with;
using test::names_in;
using test::read_bytes;
using test::write_file;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

RunIdentity identity() {
  return {.version = "1.2",
          .plan = "abc",
          .inputs = {{"/in", 100, 1'700'000'000'123'456'789}, {"/more", 7, -1}},
          .outputs = {"out"},
          .options = {{"--format", "fp8"}, {"--preset", "none"}}};
}

/// The digests of the records, by job.
std::map<std::uint64_t, std::uint64_t> digests(const Journal& journal) {
  std::map<std::uint64_t, std::uint64_t> found;
  for (const auto& [job, record] : journal.records()) found[job] = record.digest;
  return found;
}

class Journals : public testing::Test {
 protected:
  /// A journal with the records 0, 1, 7 and the digests 10, 11, 17.
  void write_journal() const {
    Journal journal(path());
    journal.begin(identity());
    journal.append(std::vector<Journal::Record>{{0, 10}, {1, 11}});
    journal.append(std::vector<Journal::Record>{{7, 17}});
  }
  [[nodiscard]] fs::path path() const { return folder_ / "out.journal"; }
  test::TempFolder folder_;
};

TEST_F(Journals, What_was_written_is_found_again) {
  write_journal();
  const Journal journal(path());
  EXPECT_TRUE(journal.is_begun());
  ASSERT_TRUE(journal.identity());
  EXPECT_EQ(journal.identity()->to_line(), identity().to_line());
  EXPECT_EQ(journal.identity()->inputs, identity().inputs);
  EXPECT_EQ(journal.identity()->outputs, identity().outputs);
  EXPECT_THAT(digests(journal), UnorderedElementsAre(Pair(0, 10), Pair(1, 11), Pair(7, 17)));
}

TEST_F(Journals, Torn_tail_is_ignored_and_overwritten) {
  write_journal();
  const std::string whole = read_bytes(path());
  const std::size_t head = identity().to_line().size();
  const std::size_t line = (whole.size() - head) / 3;
  for (std::size_t length = head; length < whole.size(); ++length) {
    write_file(path(), whole.substr(0, length));
    Journal journal(path());
    EXPECT_EQ(journal.records().size(), (length - head) / line) << length;
    journal.go_on();
    journal.append(std::vector<Journal::Record>{{2, 12}});
    EXPECT_EQ(read_bytes(path()), whole.substr(0, head + (length - head) / line * line) + "2 000000000000000c\n") << length;
  }
}

TEST_F(Journals, Torn_first_line_is_no_journal_yet) {
  const std::string line = identity().to_line();
  for (std::size_t length = 0; length < line.size(); ++length) {
    write_file(path(), line.substr(0, length));
    EXPECT_FALSE(Journal(path()).is_begun()) << length;
    EXPECT_FALSE(fs::exists(path())) << "what was not begun is removed";
  }
}

TEST_F(Journals, Notes_are_found_again) {
  {
    Journal journal(path());
    journal.begin(identity());
    journal.append(std::vector<Journal::Record>{{0, 10, R"({"a": " b "})"}, {1, 11}, {2, 12, " blanks  "}});
  }
  const Journal journal(path());
  EXPECT_THAT(digests(journal), UnorderedElementsAre(Pair(0, 10), Pair(1, 11), Pair(2, 12)));
  EXPECT_EQ(journal.records().at(0).note, R"({"a": " b "})");
  EXPECT_EQ(journal.records().at(1).note, "");
  EXPECT_EQ(journal.records().at(2).note, " blanks  ");
}

TEST_F(Journals, Line_that_is_no_record_ends_the_journal) {
  for (const char* line : {"", "x", "2", "2 ", " 2 000000000000000c", "2 00000000000000c", "2 000000000000000C", "02 000000000000000c",
                           "2  000000000000000c", "2 000000000000000c ", "-2 000000000000000c", "2 0000000000000000c"}) {
    write_file(path(), identity().to_line() + "0 000000000000000a\n" + line + "\n1 000000000000000b\n");
    EXPECT_THAT(digests(Journal(path())), UnorderedElementsAre(Pair(0, 10))) << "'" << line << "'";
  }
  write_file(path(), identity().to_line() + "0 000000000000000a\n" + std::string(4096, '\0') + "\n1 000000000000000b\n");
  Journal journal(path());
  EXPECT_THAT(digests(journal), UnorderedElementsAre(Pair(0, 10)));
  journal.go_on();
  journal.append(std::vector<Journal::Record>{{2, 12}});
  EXPECT_EQ(read_bytes(path()), identity().to_line() + "0 000000000000000a\n2 000000000000000c\n");
}

TEST_F(Journals, Last_record_of_a_job_counts) {
  write_journal();
  {
    Journal journal(path());
    journal.go_on();
    journal.append(std::vector<Journal::Record>{{1, 99}});
  }
  EXPECT_THAT(digests(Journal(path())), UnorderedElementsAre(Pair(0, 10), Pair(1, 99), Pair(7, 17)));
}

TEST_F(Journals, Beginning_anew_forgets_the_records) {
  write_journal();
  Journal journal(path());
  journal.begin(identity());
  EXPECT_THAT(journal.records(), IsEmpty());
  EXPECT_EQ(read_bytes(path()), identity().to_line());
}

TEST_F(Journals, Foreign_file_is_refused_and_kept) {
  for (const char* foreign : {"notes of somebody\n", R"({"halftone":1})", "[]"}) {
    write_file(path(), foreign);
    EXPECT_THAT([&] { Journal{path()}; }, fails_with(ErrorKind::output_exists, "out.journal", "in the way"));
    remove_journal(path());
    EXPECT_EQ(read_bytes(path()), foreign);
  }
}

TEST_F(Journals, Link_and_folder_are_refused) {
  write_file(folder_ / "other", identity().to_line());
  fs::create_symlink(folder_ / "other", path());
  EXPECT_THAT([&] { Journal{path()}; }, fails_with(ErrorKind::output_exists, "in the way"));
  fs::remove(path());
  fs::create_hard_link(folder_ / "other", path());
  EXPECT_THAT([&] { Journal{path()}; }, fails_with(ErrorKind::output_exists, "in the way"));
  fs::remove(path());
  fs::create_directory(path());
  EXPECT_THAT([&] { Journal{path()}; }, fails_with(ErrorKind::output_exists, "in the way"));
}

TEST_F(Journals, Journal_of_another_revision_has_no_identity) {
  for (const std::string text : {R"({"halftone_journal":2,"version":"9"})", R"({"halftone_journal":1,)"}) {
    write_file(path(), text + "\n0 000000000000000a\n");
    const Journal journal(path());
    EXPECT_TRUE(journal.is_begun());
    EXPECT_FALSE(journal.identity());
    EXPECT_THAT(journal.records(), IsEmpty());
  }
}

TEST_F(Journals, Second_run_is_refused_while_the_first_is_there) {
  write_journal();
  {
    const Journal first(path());
    EXPECT_THAT([&] { Journal{path()}; }, fails_with(ErrorKind::io, "another conversion"));
    remove_journal(path());
    EXPECT_TRUE(fs::exists(path()));
  }
  remove_journal(path());
  EXPECT_THAT(names_in(folder_.path()), IsEmpty());
}

TEST_F(Journals, Journal_is_removed_on_request) {
  write_journal();
  Journal journal(path());
  journal.remove();
  EXPECT_THAT(names_in(folder_.path()), IsEmpty());
}

TEST(RunDifference, Same_run_differs_in_nothing) {
  EXPECT_EQ(difference(identity(), identity()), "");
  RunIdentity other_words = identity();
  other_words.options["--preset"] = "auto";
  EXPECT_EQ(difference(identity(), other_words), "") << "the plan is the same";
}

TEST(RunDifference, Each_difference_is_named) {
  const auto changed = [](auto change) {
    RunIdentity now = identity();
    now.plan = "def";
    change(now);
    return difference(identity(), now);
  };
  EXPECT_THAT(changed([](RunIdentity& now) { now.version = "1.3"; }), HasSubstr("halftone 1.2, and this is 1.3"));
  EXPECT_THAT(changed([](RunIdentity& now) { now.inputs[1].modified_ns = 5; }), HasSubstr("the input '/more' has changed"));
  EXPECT_THAT(changed([](RunIdentity& now) { now.inputs[0].n_bytes = 5; }), HasSubstr("the input '/in' has changed"));
  EXPECT_THAT(changed([](RunIdentity& now) { now.inputs[0].path = "/else"; }), HasSubstr("'/else' is not one that it read"));
  EXPECT_THAT(changed([](RunIdentity& now) { now.inputs.pop_back(); }), HasSubstr("more input files"));
  EXPECT_THAT(changed([](RunIdentity& now) { now.options["--format"] = "int8"; }), HasSubstr("the option --format differs: it was 'fp8'"));
  EXPECT_THAT(changed([](RunIdentity& now) { now.options["--heur"] = "size"; }), HasSubstr("--heur differs: it was not given"));
  EXPECT_THAT(changed([](RunIdentity& now) { now.options.erase("--preset"); }), HasSubstr("--preset differs: it was 'none'"));
  EXPECT_THAT(changed([](RunIdentity&) {}), HasSubstr("another plan"));
}

}  // namespace
}  // namespace halftone::io
