#include "formats/quantization_metadata.hpp"

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"

namespace halftone::formats {
namespace {

using test::fails_with;

constexpr const char* kKey = "_quantization_metadata";

std::string entry_for(Metadata metadata, const LayerTexts& layers) {
  add_quantization_metadata(metadata, layers);
  return metadata.at(kKey);
}

TEST(QuantizationMetadata, Example_of_the_specification_gives_its_text) {
  EXPECT_EQ(entry_for({}, {{"blocks.0.fc", R"({"format": "float8_e4m3fn"})"}}),
            R"({"format_version": "1.0", "layers": {"blocks.0.fc": {"format": "float8_e4m3fn"}}})");
}

TEST(QuantizationMetadata, Header_escapes_the_quotes) {
  Metadata metadata;
  add_quantization_metadata(metadata, {{"blocks.0.fc", R"({"format": "float8_e4m3fn"})"}});
  EXPECT_THAT(
      serialize(lay_out({}, metadata, true)),
      testing::HasSubstr(
          R"("_quantization_metadata":"{\"format_version\": \"1.0\", \"layers\": {\"blocks.0.fc\": {\"format\": \"float8_e4m3fn\"}}}")"));
}

TEST(QuantizationMetadata, Layers_and_keys_keep_their_order) {
  EXPECT_EQ(entry_for({}, {{"b", R"({"format": "x", "group_size": 64})"}, {"a", R"({"per_row": true, "format": "y"})"}}),
            R"({"format_version": "1.0", "layers": {"b": {"format": "x", "group_size": 64}, "a": {"per_row": true, "format": "y"}}})");
}

TEST(QuantizationMetadata, No_layer_gives_an_empty_object) { EXPECT_EQ(entry_for({}, {}), R"({"format_version": "1.0", "layers": {}})"); }

TEST(QuantizationMetadata, Names_beyond_ascii_are_escaped_as_python_does) {
  EXPECT_EQ(entry_for({}, {{"bl\xC3\xB6"
                            "cke.\xF0\x9F\x8E\xA8\"",
                            R"({"format": "x"})"}}),
            R"({"format_version": "1.0", "layers": {"bl\u00f6cke.\ud83c\udfa8\"": {"format": "x"}}})");
}

TEST(QuantizationMetadata, Layers_of_an_existing_entry_are_kept_or_replaced) {
  const std::string existing = R"({"format_version":"1.0","note":[1,2.5,null],"layers":{"old":{"format":"x"},"both":{"format":"y"}}})";
  EXPECT_EQ(
      entry_for({{kKey, existing}}, {{"both", R"({"format": "z"})"}, {"new", R"({"format": "w"})"}}),
      R"({"format_version": "1.0", "note": [1, 2.5, null], "layers": {"old": {"format": "x"}, "both": {"format": "z"}, "new": {"format": "w"}}})");
}

TEST(QuantizationMetadata, Other_metadata_is_left_alone) {
  Metadata metadata = {{"format", "pt"}};
  add_quantization_metadata(metadata, {});
  EXPECT_EQ(metadata.size(), 2U);
  EXPECT_EQ(metadata.at("format"), "pt");
}

TEST(QuantizationMetadata, Broken_existing_entry_is_refused) {
  for (const char* existing : {"", "{", "[]", "{}", R"({"layers":[]})", R"({"layers":"x"})"}) {
    EXPECT_THAT([&] { (void)entry_for({{kKey, existing}}, {}); }, fails_with(ErrorKind::bad_quantization, kKey)) << existing;
  }
}

}  // namespace
}  // namespace halftone::formats
