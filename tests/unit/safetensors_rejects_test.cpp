// Every way in which a file, a shard index or a folder can be wrong, and the one kind that names it.
#include <array>
#include <set>

#include <gmock/gmock.h>

#include "io/model_files.hpp"
#include "support/model_file.hpp"
#include "unit/fails_with.hpp"
#include "unit/files.hpp"
#include "unit/raw_file.hpp"
#include "unit/reject_case.hpp"

namespace halftone {
namespace {

using test::length_field;
using test::raw_file;
using test::Reject;
using test::TempFolder;
using test::write_file;
using test::write_model;
using Kind = ErrorKind;

const std::string kGood = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

Reject file(Kind kind, std::string name, std::string bytes, std::string word) {
  return {std::move(name), kind, std::move(word),
          [bytes = std::move(bytes)](const TempFolder& folder) { (void)io::ModelFiles(write_file(folder / "in.safetensors", bytes)); }};
}

/// An index with the text `json` beside two shards: "1.safetensors" holds a, "2.safetensors" holds b.
Reject index(Kind kind, std::string name, std::string json, std::string word) {
  return {std::move(name), kind, std::move(word), [json = std::move(json)](const TempFolder& folder) {
            write_model(folder / "1.safetensors", {{{"a", Dtype::U8, {1}}, "a"}});
            write_model(folder / "2.safetensors", {{{"b", Dtype::U8, {1}}, "b"}});
            (void)io::ModelFiles(write_file(folder / "model.safetensors.index.json", json));
          }};
}

/// A folder with one-tensor models: file name, tensor name, value of the metadata key "k".
Reject folder_of(Kind kind, std::string name, std::vector<std::array<std::string, 3>> models, std::string word) {
  return {std::move(name), kind, std::move(word), [models = std::move(models)](const TempFolder& folder) {
            for (const auto& [model, tensor, value] : models)
              write_model(folder / model, {{{tensor, Dtype::U8, {1}}, "x"}}, {{"k", value}});
            (void)io::ModelFiles(folder.path());
          }};
}

std::vector<Reject> file_cases() {
  return {
      file(Kind::header_too_small, "empty_file", "", "0 bytes"),
      file(Kind::header_too_small, "seven_bytes", std::string(7, '\0'), "7 bytes"),
      file(Kind::header_too_large, "one_beyond_the_limit", length_field(kMaxHeaderBytes + 1) + kGood, "100000001"),
      file(Kind::header_too_large, "largest_length", length_field(UINT64_MAX) + kGood, "18446744073709551615"),
      file(Kind::header_beyond_file, "only_a_length", length_field(2), "take 10 bytes"),
      file(Kind::header_beyond_file, "one_byte_missing", length_field(kGood.size() + 1) + kGood, "the header take"),
      file(Kind::header_beyond_file, "largest_allowed_length", length_field(kMaxHeaderBytes) + kGood, "100000008"),
      file(Kind::header_not_json, "length_zero", length_field(0) + "{}", "never finished"),
      file(Kind::data_size, "one_byte_missing_at_the_end", raw_file(kGood, "1234567"), "cut short"),
      file(Kind::data_size, "no_data", raw_file(kGood), "cut short"),
      file(Kind::data_size, "one_byte_too_many", raw_file(kGood, "123456789"), "followed"),
      file(Kind::data_size, "data_without_tensors", raw_file("{}", "x"), "followed"),
      file(Kind::git_lfs_pointer, "lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
      file(Kind::html_page, "doctype", "<!DOCTYPE html><html>", "HTML"),
      file(Kind::html_page, "html_after_white_space", "\r\n\t <HTML lang=en>", "HTML"),
      file(Kind::html_page, "xml", "<?xml version=\"1.0\"?><Error/>", "HTML"),
      file(Kind::zip_or_pickle, "zip", std::string("PK\x03\x04\0\0\x08\x08\0\0", 10), "ZIP"),
      file(Kind::zip_or_pickle, "pickle_2", "\x80\x02\x8A\x0Al\xFC\x9C\x46\xF9\x20", "pickle"),
      file(Kind::zip_or_pickle, "pickle_4", std::string("\x80\x04\x95\x10\0\0\0\0\0\0\0", 11), "pickle"),
      file(Kind::gguf_file, "gguf", std::string("GGUF\x03\0\0\0\x10\0\0\0", 12), "GGUF"),
      file(Kind::gguf_file, "four_bytes_of_gguf", "GGUF", "GGUF"),
  };
}

std::vector<Reject> shard_cases() {
  const auto map = [](const std::string& entries) { return "{\"weight_map\":{" + entries + "}}"; };
  std::vector<Reject> cases = {
      index(Kind::bad_index, "index_not_json", "{", "byte"),
      index(Kind::bad_index, "index_empty", "", "byte"),
      index(Kind::bad_index, "index_array", "[]", "weight_map"),
      index(Kind::bad_index, "index_without_map", R"({"metadata":{}})", "weight_map"),
      index(Kind::bad_index, "map_array", R"({"weight_map":[]})", "weight_map"),
      index(Kind::bad_index, "map_value_number", map(R"("a":1)"), "'a'"),
      index(Kind::bad_index, "map_name_twice", map(R"("a":"1.safetensors","a":"2.safetensors")"), "'a' stands twice"),
      index(Kind::bad_index, "map_empty", map(""), "no tensor"),
      index(Kind::bad_index, "index_with_nul", map(R"("a":"1.safetensors")") + std::string(1, '\0'), "NUL"),
      index(Kind::shard_missing, "shard_absent", map(R"("a":"1.safetensors","b":"3.safetensors")"), "'3.safetensors'"),
      index(Kind::shard_mismatch, "tensor_not_in_the_index", map(R"("x":"1.safetensors","b":"2.safetensors")"), "'a'"),
      index(Kind::shard_mismatch, "tensor_not_in_the_shard", map(R"("a":"1.safetensors","b":"2.safetensors","c":"2.safetensors")"), "'c'"),
      index(Kind::shard_mismatch, "tensors_exchanged", map(R"("a":"2.safetensors","b":"1.safetensors")"), "'a'"),
      folder_of(Kind::duplicate_tensor, "name_in_two_shards",
                {{"m-00001-of-00002.safetensors", "a", ""}, {"m-00002-of-00002.safetensors", "a", ""}}, "'a'"),
      folder_of(Kind::metadata_conflict, "two_values",
                {{"m-00001-of-00002.safetensors", "a", "1"}, {"m-00002-of-00002.safetensors", "b", "2"}}, "'k'"),
      folder_of(Kind::no_model, "empty_folder", {}, "no safetensors file"),
      folder_of(Kind::no_model, "two_models", {{"x.safetensors", "a", ""}, {"y.safetensors", "b", ""}}, "no complete set"),
      folder_of(Kind::no_model, "shard_set_with_a_gap",
                {{"m-00001-of-00003.safetensors", "a", ""}, {"m-00002-of-00003.safetensors", "b", ""}}, "no complete set"),
      folder_of(Kind::no_model, "shards_of_two_sets",
                {{"m-00001-of-00002.safetensors", "a", ""}, {"n-00002-of-00002.safetensors", "b", ""}}, "no complete set"),
  };
  for (const char* path :
       {"../1.safetensors", "/etc/passwd", "sub/1.safetensors", "..", ".", "", "sub\\\\1.safetensors", "1.safetensors\\u0000"}) {
    cases.push_back(index(Kind::shard_path, "path_" + std::to_string(cases.size()), map("\"a\":\"" + std::string(path) + "\""), "'a'"));
  }
  return cases;
}

const std::vector<Reject>& all_cases() {
  static const std::vector<Reject> cases = [] {
    std::vector<Reject> all;
    for (auto&& part : {test::header_rejects(), file_cases(), shard_cases()}) all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return cases;
}

class Rejects : public testing::TestWithParam<Reject> {
 protected:
  TempFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(All, Rejects, testing::ValuesIn(all_cases()),
                         [](const auto& tested) { return std::string(name_of(tested.param.kind)) + "_for_" + tested.param.name; });

TEST_P(Rejects, With_the_kind_that_names_the_reason) {
  EXPECT_THAT([&] { GetParam().provoke(folder_); }, test::fails_with(GetParam().kind, GetParam().word));
}

// The blocks of files, other files and shards stand before the first kind of the contents.
TEST(RejectCases, Every_kind_of_the_first_three_blocks_is_provoked) {
  constexpr std::array kinds = {
#define HALFTONE_ERROR(kind, exit_code, meaning) ErrorKind::kind,
#include <halftone/error.def>
#undef HALFTONE_ERROR
  };
  std::set<ErrorKind> provoked;
  for (const Reject& reject : all_cases()) provoked.insert(reject.kind);
  for (const ErrorKind kind : kinds) {
    if (kind == ErrorKind::not_finite) break;
    EXPECT_EQ(provoked.count(kind), 1U) << "no case provokes " << name_of(kind);
  }
}

}  // namespace
}  // namespace halftone
