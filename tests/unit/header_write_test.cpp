#include <array>

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/printers.hpp"
#include "unit/raw_file.hpp"

namespace halftone {
namespace {

using test::fails_with;

constexpr std::array kDtypes = {
#define HALFTONE_DTYPE(name, bits) Dtype::name,
#include <halftone/dtype.def>
#undef HALFTONE_DTYPE
};

/// `header` after it went through its bytes.
Header round_trip(const Header& header) { return parse_header(serialize(header).substr(kLengthBytes)); }

TEST(Serialize, Example_of_the_specification_gives_its_bytes) {
  const Header header =
      lay_out({{"a.weight", Dtype::F8_E4M3, {2, 3}}, {"a.weight_scale", Dtype::F32, {}}, {"a.comfy_quant", Dtype::U8, {27}}},
              {{"format", "pt"}}, true);
  const std::string json = R"({"__metadata__":{"format":"pt"},"a.weight_scale":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                           R"("a.weight":{"dtype":"F8_E4M3","shape":[2,3],"data_offsets":[4,10]},)"
                           R"("a.comfy_quant":{"dtype":"U8","shape":[27],"data_offsets":[10,37]}})";
  ASSERT_EQ(json.size(), 231U);
  EXPECT_EQ(serialize(header), std::string("\xE8\0\0\0\0\0\0\0", 8) + json + " ");
  EXPECT_EQ(header.data_start, 240U);
  EXPECT_EQ(header.file_bytes(), 277U);
}

TEST(Serialize, Empty_model_is_an_empty_object) { EXPECT_EQ(serialize(lay_out({}, {}, false)), test::length_field(8) + "{}      "); }

TEST(Serialize, Empty_metadata_is_written_where_the_input_had_it) {
  EXPECT_EQ(serialize(lay_out({}, {}, true)), test::length_field(24) + R"({"__metadata__":{}}     )");
}

TEST(Serialize, Metadata_is_sorted_by_key) {
  const std::string bytes = serialize(lay_out({}, {{"b", "2"}, {"a", "1"}, {"B", "3"}}, true));
  EXPECT_THAT(bytes, testing::HasSubstr(R"({"B":"3","a":"1","b":"2"})"));
}

TEST(Serialize, Strings_are_escaped_as_the_reference_does) {
  const Header header = lay_out({{"q\"b\\s/\b\t\n\f\r\x01\x1F\x7F\xC3\xBC", Dtype::U8, {1}}}, {}, false);
  EXPECT_THAT(serialize(header), testing::HasSubstr("{\"q\\\"b\\\\s/\\b\\t\\n\\f\\r\\u0001\\u001f\x7F\xC3\xBC\":"));
}

TEST(Serialize, Length_is_a_multiple_of_8_for_every_name_length) {
  for (std::size_t length = 1; length <= 9; ++length) {
    const std::string bytes = serialize(lay_out({{std::string(length, 'n'), Dtype::U8, {1}}}, {}, false));
    EXPECT_EQ(bytes.size() % 8, 0U) << length;
    EXPECT_EQ(bytes.substr(0, 8), test::length_field(bytes.size() - 8)) << length;
  }
}

TEST(Serialize, Every_name_and_metadata_text_survives) {
  std::string every_byte;
  for (char c = 0; c < 0x7F; ++c) every_byte += c;
  const Header header =
      lay_out({{every_byte + "\xF0\x9F\x8E\xA8", Dtype::F32, {2}}, {"", Dtype::F32, {}}}, {{every_byte, every_byte}}, true);
  const Header back = round_trip(header);
  EXPECT_EQ(back.tensors, header.tensors);
  EXPECT_EQ(back.metadata, header.metadata);
}

TEST(Serialize, Header_beyond_the_limit_is_refused) {
  const Metadata huge = {{"k", std::string(kMaxHeaderBytes, 'x')}};
  EXPECT_THAT([&] { (void)serialize(lay_out({}, huge, true)); }, fails_with(ErrorKind::header_too_large, "allowed"));
}

class EveryDtype : public testing::TestWithParam<Dtype> {};
INSTANTIATE_TEST_SUITE_P(All, EveryDtype, testing::ValuesIn(kDtypes),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

TEST_P(EveryDtype, Survives_lay_out_serialize_and_parse) {
  // 8 elements fill whole bytes in every type.
  const Header header = lay_out({{"b", GetParam(), {2, 4}}, {"a", GetParam(), {8, 1}}, {"z", GetParam(), {0}}}, {}, false);
  const Header back = round_trip(header);
  EXPECT_EQ(back.tensors, header.tensors);
  EXPECT_EQ(back.data_start, header.data_start);
  EXPECT_EQ(back.data_bytes(), 2 * bits_of(GetParam()));
}

TEST(LayOut, Higher_types_come_first_then_names) {
  std::vector<TensorInfo> tensors;
  for (const Dtype dtype : kDtypes) {
    tensors.push_back({"b." + std::string(name_of(dtype)), dtype, {8}});
    tensors.push_back({"a." + std::string(name_of(dtype)), dtype, {8}});
  }
  const Header header = lay_out(std::move(tensors), {}, false);
  std::vector<std::string> expected;
  for (auto dtype = kDtypes.rbegin(); dtype != kDtypes.rend(); ++dtype) {
    expected.push_back("a." + std::string(name_of(*dtype)));
    expected.push_back("b." + std::string(name_of(*dtype)));
  }
  std::vector<std::string> names;
  for (const TensorInfo& tensor : header.tensors) names.push_back(tensor.name);
  EXPECT_EQ(names, expected);
}

TEST(LayOut, Names_are_ordered_by_bytes) {
  const Header header =
      lay_out({{"a10", Dtype::U8, {1}}, {"a2", Dtype::U8, {1}}, {"B", Dtype::U8, {1}}, {"\xC3\xA9", Dtype::U8, {1}}}, {}, false);
  EXPECT_EQ(header.tensors[0].name, "B");
  EXPECT_EQ(header.tensors[1].name, "a10");
  EXPECT_EQ(header.tensors[2].name, "a2");
  EXPECT_EQ(header.tensors[3].name, "\xC3\xA9");
}

TEST(LayOut, Given_offsets_are_replaced) {
  const Header header = lay_out({{"b", Dtype::U8, {3}, 77, 99}, {"a", Dtype::U8, {2}, 5, 1}}, {}, false);
  EXPECT_EQ(header.tensors[0], (TensorInfo{"a", Dtype::U8, {2}, 0, 2}));
  EXPECT_EQ(header.tensors[1], (TensorInfo{"b", Dtype::U8, {3}, 2, 5}));
}

TEST(LayOut, Sum_beyond_64_bits_is_refused) {
  // Nine times 2^61 - 1 bytes: eight would still fit.
  std::vector<TensorInfo> tensors;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h", "i"})
    tensors.push_back({name, Dtype::U8, {(std::uint64_t{1} << 61) - 1}});
  EXPECT_THAT([&] { (void)lay_out(tensors, {}, false); }, fails_with(ErrorKind::size_overflow, "2^64", "'i'"));
  tensors.pop_back();
  EXPECT_THAT([&] { (void)lay_out(tensors, {}, false); }, fails_with(ErrorKind::size_overflow, "header"));
  tensors.pop_back();
  EXPECT_EQ(lay_out(tensors, {}, false).data_bytes(), 7 * ((std::uint64_t{1} << 61) - 1));
}

TEST(LayOut, Sub_byte_tensor_with_a_loose_end_is_refused) {
  EXPECT_THAT([] { (void)lay_out({{"a", Dtype::F4, {3}}}, {}, false); }, fails_with(ErrorKind::misaligned_bits, "12 bits"));
}

TEST(LayOut, Two_tensors_of_one_name_are_refused) {
  EXPECT_THAT(
      [] {
        (void)lay_out({{"a", Dtype::U8, {3}}, {"a", Dtype::F32, {1}}}, {}, false);
      },
      fails_with(ErrorKind::duplicate_tensor, "'a'"));
}

}  // namespace
}  // namespace halftone
