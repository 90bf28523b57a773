#include "io/model_files.hpp"

#include <gmock/gmock.h>

#include "support/model_file.hpp"
#include "support/temp_folder.hpp"
#include "unit/fails_with.hpp"
#include "unit/files.hpp"

namespace halftone::io {
namespace {

using test::fails_with;
using test::write_file;
using test::write_model;

class ModelFilesTest : public testing::Test {
 protected:
  /// Two shards, a in the first and b in the second, with the data "aa" and "bbb".
  void write_shards(const std::string& stem = "model") const {
    write_model(folder_ / (stem + "-00001-of-00002.safetensors"), {{{"a", Dtype::U8, {2}}, "aa"}});
    write_model(folder_ / (stem + "-00002-of-00002.safetensors"), {{{"b", Dtype::U8, {3}}, "bbb"}});
  }
  [[nodiscard]] std::filesystem::path write_index() const {
    return write_file(
        folder_ / "model.safetensors.index.json",
        R"({"metadata":{"total_size":5},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  }
  static std::string data_of(const ModelFiles& files, const char* name) {
    const auto bytes = files.bytes(*files.index().find(name));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  static void expect_both_shards(const ModelFiles& files) {
    EXPECT_EQ(data_of(files, "a"), "aa");
    EXPECT_EQ(data_of(files, "b"), "bbb");
  }
  test::TempFolder folder_;
};

TEST_F(ModelFilesTest, Single_file_is_a_model) {
  write_model(folder_ / "m.safetensors", {{{"a", Dtype::U8, {2}}, "aa"}, {{"b", Dtype::U8, {1}}, "b"}});
  const ModelFiles files(folder_ / "m.safetensors");
  EXPECT_EQ(data_of(files, "a"), "aa");
  EXPECT_EQ(data_of(files, "b"), "b");
  EXPECT_EQ(files.ids().size(), 1U);
}

TEST_F(ModelFilesTest, Index_leads_to_its_shards) {
  write_shards();
  expect_both_shards(ModelFiles(write_index()));
}

TEST_F(ModelFilesTest, Folder_with_an_index_is_a_model) {
  write_shards();
  (void)write_index();
  write_model(folder_ / "other.safetensors", {});
  expect_both_shards(ModelFiles(folder_.path()));
}

TEST_F(ModelFilesTest, Folder_with_a_whole_set_of_shards_is_a_model) {
  write_shards();
  expect_both_shards(ModelFiles(folder_.path()));
}

TEST_F(ModelFilesTest, Folder_with_one_file_is_a_model) {
  write_model(folder_ / "m.safetensors", {{{"a", Dtype::U8, {2}}, "aa"}});
  write_file(folder_ / "config.json", "{}");
  EXPECT_EQ(data_of(ModelFiles(folder_.path()), "a"), "aa");
}

TEST_F(ModelFilesTest, Several_indices_in_a_folder_are_refused) {
  write_shards();
  (void)write_index();
  write_file(folder_ / "model.fp16.safetensors.index.json", "{}");
  EXPECT_THAT([&] { ModelFiles(folder_.path()); }, fails_with(ErrorKind::no_model, "several shard indices"));
}

TEST_F(ModelFilesTest, Missing_file_is_named) {
  EXPECT_THAT([&] { ModelFiles(folder_ / "absent.safetensors"); }, fails_with(ErrorKind::io, "absent.safetensors"));
}

TEST_F(ModelFilesTest, Broken_shard_is_named) {
  write_shards();
  write_file(folder_ / "model-00002-of-00002.safetensors", "short");
  EXPECT_THAT([&] { ModelFiles(folder_.path()); }, fails_with(ErrorKind::header_too_small, "model-00002-of-00002.safetensors"));
}

TEST_F(ModelFilesTest, Check_reports_a_shard_that_changed) {
  write_shards();
  const ModelFiles files(folder_.path());
  files.check();
  std::filesystem::resize_file(folder_ / "model-00002-of-00002.safetensors", 10);
  EXPECT_THAT([&] { files.check(); }, fails_with(ErrorKind::input_changed, "model-00002-of-00002.safetensors"));
}

TEST_F(ModelFilesTest, Side_texts_are_the_comfy_quant_tensors) {
  write_model(folder_ / "m.safetensors",
              {{{"x.comfy_quant", Dtype::U8, {2}}, "{}"}, {{"comfy_quant", Dtype::U8, {1}}, "?"}, {{"x.weight", Dtype::U8, {1}}, "w"}});
  EXPECT_EQ(ModelFiles(folder_ / "m.safetensors").side_texts(), (SideTexts{{"x.comfy_quant", "{}"}}));
}

TEST_F(ModelFilesTest, Side_text_beyond_64_KiB_is_refused) {
  const std::uint64_t n = (64 << 10) + 1;
  write_model(folder_ / "m.safetensors", {{{"x.comfy_quant", Dtype::U8, {n}}, std::string(n, ' ')}});
  const ModelFiles files(folder_ / "m.safetensors");
  EXPECT_THAT([&] { (void)files.side_texts(); }, fails_with(ErrorKind::bad_quantization, "'x.comfy_quant'", "65537"));
}

}  // namespace
}  // namespace halftone::io
