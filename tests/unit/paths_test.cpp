#include "io/paths.hpp"

#include <functional>

#include <gmock/gmock.h>

#include <halftone/halftone.hpp>

#include "support/temp_folder.hpp"
#include "unit/conversion_test.hpp"
#include "unit/fails_with.hpp"
#include "unit/files.hpp"

namespace halftone {
namespace {

using test::f32;
using test::fails_with;
using test::options_for;

TEST(Paths, Names_that_nothing_has_are_no_error) {
  const test::TempFolder folder;
  test::write_file(folder / "file", "");
  for (const std::filesystem::path& path : {folder / "nothing", folder / "nothing" / "below", folder / "file" / "below"}) {
    EXPECT_FALSE(io::exists(path)) << path;
    EXPECT_FALSE(io::is_taken(path)) << path;
    EXPECT_FALSE(io::is_folder(path)) << path;
    EXPECT_FALSE(io::is_regular_file(path)) << path;
  }
}

TEST(Paths, Link_that_leads_nowhere_takes_its_name) {
  const test::TempFolder folder;
  std::filesystem::create_symlink("nothing", folder / "link");
  EXPECT_FALSE(io::exists(folder / "link"));
  EXPECT_TRUE(io::is_taken(folder / "link"));
}

TEST(Paths, Entries_are_sorted) {
  const test::TempFolder folder;
  for (const char* name : {"b", "c", "a"}) test::write_file(folder / name, "");
  EXPECT_THAT(io::entries_of(folder / ""), testing::ElementsAre(folder / "a", folder / "b", folder / "c"));
  EXPECT_THAT([&] { (void)io::entries_of(folder / "nothing"); }, fails_with(ErrorKind::io, "nothing"));
}

/// Names that the file system refuses to look up.
class Unreachable : public test::ConversionTest {
 protected:
  Unreachable() {
    write_input({f32("a.weight", {2, 3}, {1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F})});
    std::filesystem::create_symlink(folder_ / "loop", folder_ / "loop");
    paths_ = {folder_ / std::string(300, 'x'), folder_ / "loop", folder_ / "loop" / "below.safetensors"};
  }

  void expect_io_error(const char* call, const std::function<void(const std::filesystem::path&)>& work) const {
    for (const std::filesystem::path& path : paths_) {
      EXPECT_THAT([&] { work(path); }, fails_with(ErrorKind::io, path.filename().string().substr(0, 250))) << call << " " << path;
    }
  }

  std::vector<std::filesystem::path> paths_;
};

TEST_F(Unreachable, Input_is_an_error_of_the_library_for_every_call) {
  RunControl control;
  const PlanOptions options = options_for("fp8");
  const AllocateOptions allocation{.formats = {&format_named("fp8")}, .target_bytes = 1};
  expect_io_error("plan_conversion", [&](const auto& path) { (void)plan_conversion(path, options); });
  expect_io_error("convert", [&](const auto& path) { convert(path, output(), options, {}, control); });
  expect_io_error("dequantize", [&](const auto& path) { dequantize(path, output(), Dtype::BF16, {}, control); });
  expect_io_error("read_example", [](const auto& path) { (void)read_example(path); });
  expect_io_error("read_statistics", [](const auto& path) { (void)read_statistics(path); });
  expect_io_error("plan_edit", [](const auto& path) { (void)plan_edit(path, {}); });
  expect_io_error("plan_migration", [](const auto& path) { (void)plan_migration(path, {}); });
  expect_io_error("verify_model", [&](const auto& path) { (void)verify_model(path, {}, control); });
  expect_io_error("compare_models", [&](const auto& path) { (void)compare_models(input(), path, 1); });
  expect_io_error("evaluate_model", [&](const auto& path) { (void)evaluate_model(path, {.source = input()}, control); });
  expect_io_error("allocate_formats", [&](const auto& path) { (void)allocate_formats(path, allocation, control); });
}

TEST_F(Unreachable, Output_is_an_error_of_the_library) {
  RunControl control;
  expect_io_error("convert", [&](const auto& path) { convert(input(), path / "out.safetensors", options_for("fp8"), {}, control); });
  RunOptions resumed;
  resumed.resume = true;
  expect_io_error("resumed", [&](const auto& path) { convert(input(), path / "out.safetensors", options_for("fp8"), resumed, control); });
}

}  // namespace
}  // namespace halftone
