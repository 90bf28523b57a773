#include <cmath>
#include <fstream>

#include "unit/conversion_test.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using test::f32;
using test::fails_with;
using test::names_in;
using test::options_for;
using test::read_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kLayers = 6;

/// Converts a model, fails in the layer before the last one, and goes on.
class Resume : public test::ConversionTest {
 protected:
  /// Layers that differ from each other; with `broken`, a NaN is in the last but one.  Each of both models has
  /// the same time, so that the second passes for the first.
  void write_layers(bool broken) const {
    std::vector<test::TensorBytes> tensors;
    for (int layer = 0; layer < kLayers; ++layer) {
      std::vector<float> values(rows_ * kColumns);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i * 7 + 1) * static_cast<float>(layer + 1));
      if (broken && layer == kLayers - 2) values[5] = NAN;
      tensors.push_back(f32(std::to_string(layer) + ".weight", {rows_, kColumns}, values));
    }
    tensors.push_back(f32("bias", {5}, {1, 2, 3, 4, 5}));
    write_input(tensors);
    fs::last_write_time(input(), kTime);
  }

  /// The bytes that a run without interruption writes.
  std::string expected(const PlanOptions& options) {
    write_layers(false);
    convert(input(), folder_ / "whole", options, {.threads = 2}, control_);
    std::string bytes = read_bytes(folder_ / "whole");
    fs::remove(folder_ / "whole");
    return bytes;
  }

  /// Leaves what a run leaves that is interrupted in the last but one layer, and repairs the input.
  void interrupt(const PlanOptions& options) {
    write_layers(true);
    EXPECT_THAT([&] { convert_with(options, {.threads = 1, .journal = true}); }, fails_with(ErrorKind::not_finite));
    write_layers(false);
  }

  RunReport resume(const PlanOptions& options, bool replace = false) {
    told_.clear();
    return convert_with(options, {.threads = 2,
                                  .replace = replace,
                                  .resume = true,
                                  .named_options = {{"--format", std::string(options.spec.format->name())}},
                                  .tell = [this](const std::string& sentence) { told_ += sentence; }});
  }

  [[nodiscard]] fs::path partial() const { return folder_ / "out.safetensors.partial"; }
  [[nodiscard]] fs::path journal() const { return folder_ / "out.safetensors.journal"; }

  /// Changes the byte at `offset` of the partial file.
  void flip(std::uint64_t offset) const {
    std::string bytes = read_bytes(partial());
    bytes.at(offset) ^= 1;
    test::write_file(partial(), bytes);
  }

  std::uint64_t rows_ = 128;
  /// Makes every byte of the partial file behind its length field another one.
  void spoil() const {
    const std::uint64_t length = fs::file_size(partial());
    test::write_file(partial(), std::string(8, '\0') + std::string(length - 8, '\xA5'));
  }

  static constexpr std::uint64_t kColumns = 256;
  static constexpr fs::file_time_type kTime{std::chrono::hours(1000)};
  std::string told_;
};

TEST_F(Resume, Resumed_run_writes_what_an_uninterrupted_one_writes) {
  for (const FormatDescriptor* format : all_formats()) {
    SCOPED_TRACE(format->name());
    const PlanOptions options = options_for(format->name());
    const std::string bytes = expected(options);
    interrupt(options);
    EXPECT_THAT(names_in(folder_.path()), ElementsAre("in.safetensors", "out.safetensors.journal", "out.safetensors.partial"));
    const RunReport report = resume(options);
    EXPECT_TRUE(read_bytes(output()) == bytes);
    EXPECT_THAT(names_in(folder_.path()), ElementsAre("in.safetensors", "out.safetensors")) << "a complete run leaves no journal";
    ASSERT_TRUE(report.resumption);
    EXPECT_EQ(report.resumption->jobs, report.plan.jobs.size());
    EXPECT_GE(report.resumption->jobs_kept, kLayers - 2U);
    EXPECT_LT(report.resumption->jobs_kept, report.plan.jobs.size());
    EXPECT_EQ(report.resumption->jobs_redone, 0U);
    EXPECT_EQ(control_.done_bytes, control_.total_bytes);
    EXPECT_EQ(control_.kept_bytes, report.resumption->kept_bytes);
    EXPECT_GT(control_.kept_bytes, 0U);
    fs::remove(output());
  }
}

TEST_F(Resume, Resumed_run_writes_the_lora_of_an_uninterrupted_one) {
  PlanOptions options = options_for("int8-row");
  options.lora_rank = 4;
  const fs::path lora = folder_ / "lora.safetensors";
  const RunOptions first{.threads = 1, .lora_output = lora, .journal = true};
  write_layers(false);
  convert_with(options, first);
  const std::string model = read_bytes(output());
  const std::string factors = read_bytes(lora);
  fs::remove(output());
  fs::remove(lora);
  write_layers(true);
  EXPECT_THAT([&] { convert_with(options, first); }, fails_with(ErrorKind::not_finite));
  write_layers(false);
  // The factors of layer 1 are damaged: they alone make its job one that is done again.
  const Plan plan = plan_conversion(input(), options);
  const fs::path left = folder_ / "lora.safetensors.partial";
  std::string bytes = read_bytes(left);
  bytes.at(plan.lora_place(2).offset + 5) ^= 1;
  test::write_file(left, bytes);
  const RunReport report = convert_with(options, {.threads = 2, .lora_output = lora, .resume = true});
  EXPECT_GE(report.resumption->jobs_kept, kLayers - 3U);
  EXPECT_EQ(report.resumption->jobs_redone, 1U);
  EXPECT_TRUE(read_bytes(output()) == model);
  EXPECT_TRUE(read_bytes(lora) == factors);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("in.safetensors", "lora.safetensors", "out.safetensors"));
}

TEST_F(Resume, Job_whose_bytes_have_changed_is_redone) {
  const PlanOptions options = options_for("fp8-row");
  const std::string bytes = expected(options);
  interrupt(options);
  const Plan plan = plan_conversion(input(), options);
  flip(plan.output.data_start + test::output_of(plan, "1.weight")->begin + 17);
  const RunReport report = resume(options);
  EXPECT_EQ(report.resumption->jobs_redone, 1U);
  EXPECT_TRUE(read_bytes(output()) == bytes);
}

TEST_F(Resume, Jobs_do_not_depend_on_what_the_file_held_before) {
  for (const FormatDescriptor* format : all_formats()) {
    SCOPED_TRACE(format->name());
    const PlanOptions options = options_for(format->name());
    const std::string bytes = expected(options);
    interrupt(options);
    spoil();
    const RunReport report = resume(options);
    EXPECT_EQ(report.resumption->jobs_kept, 0U);
    EXPECT_GE(report.resumption->jobs_redone, kLayers - 2U);
    EXPECT_TRUE(read_bytes(output()) == bytes);
    fs::remove(output());
  }
}

TEST_F(Resume, Padding_does_not_depend_on_what_the_file_held_before) {
  rows_ = 100;
  for (const char* format : {"nvfp4", "mxfp8", "mxfp8-hybrid", "nf4", "fp4", "nf4-bnb", "w4a8"}) {
    SCOPED_TRACE(format);
    const PlanOptions options = options_for(format);
    const std::string bytes = expected(options);
    interrupt(options);
    spoil();
    resume(options);
    EXPECT_TRUE(read_bytes(output()) == bytes);
    fs::remove(output());
  }
}

TEST_F(Resume, Partial_file_of_another_length_is_repaired) {
  const PlanOptions options = options_for("fp8-row");
  const std::string bytes = expected(options);
  for (const std::uint64_t length : {0ULL, 8ULL, 40'000ULL, 10'000'000ULL}) {
    interrupt(options);
    fs::resize_file(partial(), length);
    resume(options);
    EXPECT_TRUE(read_bytes(output()) == bytes) << length;
    fs::remove(output());
  }
}

TEST_F(Resume, Run_that_was_killed_before_its_rename_is_finished) {
  const PlanOptions options = options_for("fp8-row");
  const std::string bytes = expected(options);
  interrupt(options);
  test::write_file(partial(), bytes);
  const RunReport report = resume(options);
  EXPECT_EQ(report.resumption->jobs_redone, 0U);
  EXPECT_TRUE(read_bytes(output()) == bytes);
}

TEST_F(Resume, Run_may_be_interrupted_again) {
  const PlanOptions options = options_for("fp8-row");
  const std::string bytes = expected(options);
  interrupt(options);
  const std::string first = read_bytes(journal());
  control_.stop = true;
  EXPECT_THAT([&] { resume(options); }, fails_with(ErrorKind::interrupted, "--resume", "out.safetensors.journal"));
  EXPECT_EQ(read_bytes(journal()), first);
  control_.stop = false;
  EXPECT_GE(resume(options).resumption->jobs_kept, kLayers - 2U);
  EXPECT_TRUE(read_bytes(output()) == bytes);
}

TEST_F(Resume, Changed_input_is_refused_and_nothing_lost) {
  const PlanOptions options = options_for("fp8-row");
  interrupt(options);
  const auto before = std::pair(read_bytes(partial()), read_bytes(journal()));
  fs::last_write_time(input(), kTime + std::chrono::seconds(1));
  EXPECT_THAT([&] { resume(options); }, fails_with(ErrorKind::journal_mismatch, "the input", "in.safetensors' has changed"));
  EXPECT_EQ(std::pair(read_bytes(partial()), read_bytes(journal())), before);
}

TEST_F(Resume, Changed_option_is_refused_and_nothing_lost) {
  interrupt(options_for("fp8-row"));
  const auto before = std::pair(read_bytes(partial()), read_bytes(journal()));
  EXPECT_THAT([&] { resume(options_for("int8-row")); }, fails_with(ErrorKind::journal_mismatch, "the option --format differs"));
  EXPECT_EQ(std::pair(read_bytes(partial()), read_bytes(journal())), before);
}

TEST_F(Resume, Run_with_other_files_is_refused_and_nothing_lost) {
  PlanOptions cut = options_for("fp8-row");
  cut.sharding = Sharding{40'000, "out"};
  for (const auto& [first, second] : {std::pair(options_for("fp8-row"), cut), std::pair(cut, options_for("fp8-row"))}) {
    interrupt(first);
    const auto before = std::pair(names_in(folder_.path()), read_bytes(journal()));
    EXPECT_THAT([&] { resume(second); }, fails_with(ErrorKind::journal_mismatch));
    EXPECT_EQ(std::pair(names_in(folder_.path()), read_bytes(journal())), before);
    resume(first);
  }
}

TEST_F(Resume, Damaged_journal_is_refused) {
  interrupt(options_for("fp8-row"));
  test::write_file(journal(), "{\"halftone_journal\":9}\n");
  EXPECT_THAT([&] { resume(options_for("fp8-row")); }, fails_with(ErrorKind::journal_mismatch, "damaged"));
  EXPECT_TRUE(fs::exists(partial()));
}

TEST_F(Resume, Partial_file_without_journal_starts_anew_and_says_so) {
  const PlanOptions options = options_for("fp8-row");
  const std::string bytes = expected(options);
  interrupt(options);
  fs::remove(journal());
  EXPECT_EQ(resume(options).resumption->jobs_kept, 0U);
  EXPECT_THAT(told_, HasSubstr("out.safetensors.partial' has no journal"));
  EXPECT_TRUE(read_bytes(output()) == bytes);
}

TEST_F(Resume, Journal_without_partial_file_starts_anew_and_says_so) {
  interrupt(options_for("int8-row"));
  fs::remove(partial());
  EXPECT_EQ(resume(options_for("fp8-row")).resumption->jobs_kept, 0U);
  EXPECT_THAT(told_, HasSubstr("has no partial file"));
}

TEST_F(Resume, First_run_with_resume_says_nothing) {
  write_layers(false);
  EXPECT_EQ(resume(options_for("fp8-row")).resumption->jobs_kept, 0U);
  EXPECT_EQ(told_, "");
}

TEST_F(Resume, Run_without_resume_starts_anew_and_leaves_no_journal) {
  const PlanOptions options = options_for("fp8-row");
  const std::string bytes = expected(options);
  interrupt(options);
  EXPECT_FALSE(convert_with(options).resumption);
  EXPECT_TRUE(read_bytes(output()) == bytes);
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("in.safetensors", "out.safetensors"));
}

TEST_F(Resume, Existing_output_needs_replace) {
  const PlanOptions options = options_for("fp8-row");
  const std::string bytes = expected(options);
  interrupt(options);
  test::write_file(output(), "old");
  EXPECT_THAT([&] { resume(options); }, fails_with(ErrorKind::output_exists, "--force"));
  EXPECT_EQ(read_bytes(output()), "old");
  EXPECT_GE(resume(options, true).resumption->jobs_kept, kLayers - 2U);
  EXPECT_TRUE(read_bytes(output()) == bytes);
}

TEST_F(Resume, Refused_run_leaves_no_journal) {
  write_layers(false);
  test::write_file(output(), "old");
  EXPECT_THAT([&] { resume(options_for("fp8-row")); }, fails_with(ErrorKind::output_exists));
  EXPECT_THAT(names_in(folder_.path()), ElementsAre("in.safetensors", "out.safetensors"));
  const auto into_nowhere = [&] { convert(input(), folder_ / "absent" / "o", options_for("fp8"), {.resume = true}, control_); };
  EXPECT_THAT(into_nowhere, fails_with(ErrorKind::usage, "absent", "does not exist"));
}

TEST_F(Resume, Output_that_does_not_pass_its_verification_is_not_kept) {
  write_input({f32("a.weight", {30, 20}, std::vector<float>(600, 0.5F))});
  EXPECT_THAT([&] { convert_with(options_for("fp8"), {.verify = true, .resume = true}); }, fails_with(ErrorKind::verification));
  expect_no_output();
}

// What learning added to the error of layers, the journal knows.
TEST_F(Resume, Layers_that_were_learned_before_pass_the_verification) {
  // Inputs that go on from column to column: errors that alternate add up to little.
  std::vector<float> second(kColumns * kColumns);
  for (std::size_t i = 0; i < second.size(); ++i) {
    const float distance = (static_cast<float>(i / kColumns) - static_cast<float>(i % kColumns)) / 8.0F;
    second[i] = std::exp(-distance * distance);
  }
  std::vector<test::TensorBytes> tensors;
  for (int layer = 0; layer < kLayers - 2; ++layer)
    tensors.push_back(f32(std::to_string(layer) + ".second_moment", {kColumns, kColumns}, second));
  const fs::path statistics = folder_ / "statistics.safetensors";
  test::write_model(statistics, tensors, {});
  PlanOptions options = options_for("int8-row");
  options.target = Target::none;
  options.statistics = read_statistics(statistics);
  options.learn.emplace().damping = 0.001;
  interrupt(options);
  const RunReport report = convert_with(options, {.threads = 1, .verify = true, .resume = true});
  EXPECT_TRUE(report.plan.learns);
  ASSERT_FALSE(report.learned.empty());
  EXPECT_EQ(report.resumption->layers_kept, report.learned.size());
  EXPECT_EQ(report.learned[0].tensor, "0.weight");
  EXPECT_EQ(report.learned[0].method, LearnMethod::feedback);
  ASSERT_EQ(report.verification->layers[0].name, "0");
  const LayerError& error = *report.verification->layers[0].error;
  EXPECT_GT(error.figures.noise, std::pow(10, VerifyOptions().tolerance_db / 10) * error.expected.noise);
  EXPECT_NEAR(error.figures.noise, report.learned[0].squared_error, 1e-3 * error.figures.noise);
}

TEST_F(Resume, Run_that_was_complete_tells_what_it_did_and_is_believed_only_where_its_file_is_there) {
  PlanOptions options = options_for("int8-row");
  options.learn.emplace().method = LearnMethod::closed;
  options.learn->rank = {.top_p = 0.1, .min_k = 8};
  interrupt(options);
  const fs::path link = folder_ / "link";  // under which the journal stays when the run removes it
  const RunReport first =
      convert_with(options, {.resume = true, .tell = [&](const std::string&) { fs::create_hard_link(journal(), link); }});
  const std::string complete = read_bytes(link);
  fs::remove(link);
  test::write_file(journal(), complete);
  const RunReport report =
      convert_with(options, {.verify = true, .resume = true, .tell = [this](const std::string& sentence) { told_ += sentence; }});
  EXPECT_THAT(told_, HasSubstr("is complete already"));
  EXPECT_FALSE(report.verification);
  EXPECT_THAT(report.plan.notes, Contains(HasSubstr("not verified now")));
  EXPECT_EQ(report.resumption->kept_bytes, report.plan.output.data_bytes());
  EXPECT_EQ(report.resumption->layers_kept, static_cast<std::uint64_t>(kLayers));
  ASSERT_EQ(report.learned.size(), static_cast<std::size_t>(kLayers));
  for (std::size_t i = 0; i < report.learned.size(); ++i) {
    EXPECT_EQ(report.learned[i].tensor, first.learned[i].tensor);
    EXPECT_EQ(report.learned[i].loss_ratio, first.learned[i].loss_ratio);
  }
  test::write_file(journal(), complete);
  test::write_file(output(), "another");
  EXPECT_THAT([&] { convert_with(options, {.resume = true}); }, fails_with(ErrorKind::output_exists));
  EXPECT_EQ(read_bytes(output()), "another");
}

TEST_F(Resume, Damaged_note_costs_the_work_on_its_layer) {
  PlanOptions options = options_for("int8-row");
  options.learn.emplace().method = LearnMethod::closed;
  options.learn->rank = {.top_p = 0.1, .min_k = 8};
  const std::string bytes = expected(options);
  interrupt(options);
  const std::string whole = read_bytes(journal());
  const std::size_t first = whole.find("\"method\"");
  ASSERT_NE(first, std::string::npos);
  const std::size_t begin = whole.rfind('\n', first) + 1;
  const std::string line = whole.substr(begin, whole.find('\n', first) + 1 - begin);
  const std::string note = line.substr(line.find(" {"));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    return text.replace(text.find(from, begin), from.size(), to);
  };
  // A figure of another size, a note that is none, one that is missing, and the same record twice.
  for (const std::string& text :
       {with("\"rank\":", "\"rank\":-"), with("\"method\"", "\"methud\""), with(note, "\n"), with(line, line + line)}) {
    test::write_file(journal(), text);
    const std::string partial_bytes = read_bytes(partial());
    const RunReport report = resume(options);
    EXPECT_TRUE(read_bytes(output()) == bytes);
    EXPECT_EQ(report.learned.size(), static_cast<std::size_t>(kLayers));
    EXPECT_EQ(report.resumption->jobs_redone, text == with(line, line + line) ? 0U : 1U);
    fs::remove(output());
    test::write_file(partial(), partial_bytes);
  }
}

TEST_F(Resume, Shards_are_resumed) {
  PlanOptions options = options_for("fp8-row");
  options.sharding = Sharding{40'000, "out"};
  interrupt(options);
  ASSERT_GE(names_in(folder_.path()).size(), 6U);
  EXPECT_GE(resume(options).resumption->jobs_kept, kLayers - 2U);
  const auto read_all = [&] {
    std::string all;
    for (const std::string& name : names_in(folder_.path())) all += name + read_bytes(folder_ / name);
    return all;
  };
  const std::string resumed = read_all();
  convert_with(options, {.replace = true});
  EXPECT_TRUE(read_all() == resumed);
}

TEST_F(Resume, Shards_that_have_appeared_already_are_taken_back) {
  PlanOptions options = options_for("fp8-row");
  options.sharding = Sharding{40'000, "out"};
  interrupt(options);
  const std::string text = read_bytes(journal());
  resume(options);
  const std::vector<std::string> names = names_in(folder_.path());
  const auto read_all = [&] {
    std::vector<std::string> all;
    for (const std::string& name : names) all.push_back(read_bytes(folder_ / name));
    return all;
  };
  const std::vector<std::string> bytes = read_all();
  // As after a kill between the renames: the first two shards have their names, the others and the index do not.
  ASSERT_THAT(names, testing::SizeIs(testing::Ge(6)));
  for (std::size_t i = 3; i < names.size(); ++i) fs::rename(folder_ / names[i], folder_ / (names[i] + ".partial"));
  test::write_file(journal(), text);
  const RunReport report = resume(options);
  EXPECT_EQ(report.resumption->jobs_redone, 0U);
  EXPECT_GE(report.resumption->jobs_kept, kLayers - 2U);
  EXPECT_EQ(names_in(folder_.path()), names);
  EXPECT_TRUE(read_all() == bytes);
}

TEST_F(Resume, Only_conversions_are_resumed) {
  write_layers(false);
  const auto work = [&] { (void)dequantize(input(), output(), Dtype::BF16, {.resume = true}, control_); };
  EXPECT_THAT(work, fails_with(ErrorKind::usage, "resumed"));
}

}  // namespace
}  // namespace halftone
