#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/raw_file.hpp"

namespace halftone {
namespace {

using test::fails_with;
using test::parse_bytes;
using test::raw_file;

std::vector<std::string> names_of(const Header& header) {
  std::vector<std::string> names;
  for (const TensorInfo& tensor : header.tensors) names.push_back(tensor.name);
  return names;
}

const std::string kEntry = R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})";

TEST(ParseHeader, Fields_of_a_tensor_are_read) {
  const Header header = parse_header(R"({"a.weight":)" + kEntry + "}");
  ASSERT_EQ(header.tensors.size(), 1U);
  EXPECT_EQ(header.tensors[0], (TensorInfo{"a.weight", Dtype::F32, {2, 3}, 0, 24}));
  EXPECT_EQ(header.data_bytes(), 24U);
}

TEST(ParseHeader, Data_starts_after_the_text_with_its_padding) {
  EXPECT_EQ(parse_header("{}").data_start, 10U);
  EXPECT_EQ(parse_header("{}      ").data_start, 16U);
}

TEST(ParseHeader, Metadata_is_read_wherever_it_stands) {
  const Header header = parse_header(R"({"a":)" + kEntry + R"(,"__metadata__":{"format":"pt","x":""}})");
  EXPECT_TRUE(header.has_metadata);
  EXPECT_EQ(header.metadata, (Metadata{{"format", "pt"}, {"x", ""}}));
}

// Accepted although one might expect a rejection: the reference reader accepts them too.

TEST(ParseHeader, Empty_object_is_a_model_without_tensors) {
  const Header header = parse_bytes(raw_file("{}"));
  EXPECT_TRUE(header.tensors.empty());
  EXPECT_FALSE(header.has_metadata);
  EXPECT_EQ(header.file_bytes(), 10U);
}

TEST(ParseHeader, Unknown_fields_are_ignored) {
  const Header header =
      parse_header(R"({"a":{"x":1,"dtype":"U8","y":null,"shape":[1],"z":"text","data_offsets":[0,1],"w":-1.5e9,"v":false}})");
  EXPECT_EQ(header.tensors[0], (TensorInfo{"a", Dtype::U8, {1}, 0, 1}));
}

TEST(ParseHeader, Nested_unknown_fields_are_ignored) {
  const Header header =
      parse_header(R"({"a":{"dtype":"U8","extra":{"dtype":"F64","shape":[9],"deep":[[{"data_offsets":[]}],null]},"list":[1,"b",{}],)"
                   R"("shape":[1],"data_offsets":[0,1]}})");
  EXPECT_EQ(header.tensors[0], (TensorInfo{"a", Dtype::U8, {1}, 0, 1}));
}

TEST(ParseHeader, Unknown_field_that_stands_twice_is_ignored) {
  EXPECT_EQ(parse_header(R"({"a":{"x":1,"x":[2],"dtype":"U8","shape":[1],"data_offsets":[0,1]}})").tensors.size(), 1U);
}

TEST(ParseHeader, Nesting_within_the_limit_is_accepted) {
  const std::string deep = std::string(30, '[') + std::string(30, ']');  // 32 levels with the two objects around it
  EXPECT_EQ(parse_header(R"({"a":{"x":)" + deep + R"(,"dtype":"U8","shape":[1],"data_offsets":[0,1]}})").tensors.size(), 1U);
}

TEST(ParseHeader, Fields_may_stand_in_any_order) {
  const Header header = parse_header(R"({"a":{"data_offsets":[0,24],"shape":[2,3],"dtype":"F32"}})");
  EXPECT_EQ(header.tensors[0], (TensorInfo{"a", Dtype::F32, {2, 3}, 0, 24}));
}

TEST(ParseHeader, Tensors_in_any_order_are_sorted_by_offset) {
  const Header header =
      parse_header(R"({"c":{"dtype":"U8","shape":[2],"data_offsets":[5,7]},"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]},)"
                   R"("b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})");
  EXPECT_THAT(names_of(header), testing::ElementsAre("b", "a", "c"));
}

TEST(ParseHeader, Tensors_without_elements_may_share_an_offset) {
  const Header header =
      parse_header(R"({"z":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},)"
                   R"("y":{"dtype":"I64","shape":[3,0,5],"data_offsets":[4,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                   R"("end":{"dtype":"U8","shape":[0],"data_offsets":[6,6]}})");
  EXPECT_EQ(header.tensors.size(), 5U);
  EXPECT_EQ(header.data_bytes(), 6U);
}

TEST(ParseHeader, Only_tensors_without_elements_make_a_file_without_data) {
  EXPECT_EQ(parse_bytes(raw_file(R"({"z":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}})")).data_bytes(), 0U);
}

TEST(ParseHeader, Huge_extent_beside_a_zero_is_accepted) {
  EXPECT_EQ(parse_header(R"({"z":{"dtype":"F64","shape":[0,18446744073709551615],"data_offsets":[0,0]}})").tensors.size(), 1U);
}

TEST(ParseHeader, Null_metadata_means_none) {
  const Header header = parse_header(R"({"__metadata__":null,"a":)" + kEntry + "}");
  EXPECT_FALSE(header.has_metadata);
  EXPECT_EQ(header.tensors.size(), 1U);
}

TEST(ParseHeader, Empty_metadata_is_remembered) { EXPECT_TRUE(parse_header(R"({"__metadata__":{}})").has_metadata); }

TEST(ParseHeader, Unpadded_header_and_data_at_odd_offsets_are_accepted) {
  const std::string json = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[3,7]},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})";
  ASSERT_NE(json.size() % 8, 0U);
  EXPECT_EQ(parse_bytes(raw_file(json, "abc1234")).tensors.size(), 2U);
}

TEST(ParseHeader, White_space_around_and_inside_is_accepted) {
  EXPECT_EQ(parse_header(" \t\r\n{ \"a\" :\n" + kEntry + "\t}\r\n ").tensors.size(), 1U);
}

TEST(ParseHeader, Escapes_in_names_are_decoded) {
  const Header header = parse_header(R"({"a\"\\\/\b\u00e9\ud83c\udfa8\u0000":)" + kEntry + "}");
  EXPECT_EQ(header.tensors[0].name, std::string("a\"\\/\b\xC3\xA9\xF0\x9F\x8E\xA8\0", 12));
}

TEST(ParseHeader, Empty_name_is_a_name) { EXPECT_EQ(parse_header(R"({"":)" + kEntry + "}").tensors[0].name, ""); }

TEST(ParseHeader, Sub_byte_types_fill_whole_bytes) {
  const Header header =
      parse_header(R"({"a":{"dtype":"F4","shape":[3,2],"data_offsets":[0,3]},"b":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[3,6]}})");
  EXPECT_EQ(header.data_bytes(), 6U);
}

// What a sentence must say.

TEST(ParseHeader, Error_names_tensor_and_both_sizes) {
  const auto parse = [] { (void)parse_header(R"({"a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,10]}})"); };
  EXPECT_THAT(parse, fails_with(ErrorKind::tensor_size, "'a.weight'", "10 bytes", "12 expected", "BF16", "[2, 3]"));
}

TEST(ParseHeader, First_offending_tensor_by_offset_decides) {
  const auto parse = [] {
    (void)parse_header(
        R"({"late":{"dtype":"F4","shape":[3],"data_offsets":[8,9]},"early":{"dtype":"U8","shape":[7],"data_offsets":[0,8]}})");
  };
  EXPECT_THAT(parse, fails_with(ErrorKind::tensor_size, "'early'"));
}

TEST(ParseFile, Error_says_whether_data_is_missing_or_too_much) {
  const std::string whole = raw_file(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "1234");
  EXPECT_THAT([&] { (void)parse_bytes(whole.substr(0, whole.size() - 1)); }, fails_with(ErrorKind::data_size, "cut short"));
  EXPECT_THAT([&] { (void)parse_bytes(whole + "5"); }, fails_with(ErrorKind::data_size, "followed by other data"));
}

// A length of 640 or 33408 gives a file the first two bytes of a pickle.
TEST(ParseFile, Header_that_begins_with_white_space_is_no_pickle) {
  std::string json = " {}";
  json.resize(640, ' ');
  EXPECT_TRUE(parse_bytes(raw_file(json)).tensors.empty());
}

}  // namespace
}  // namespace halftone
