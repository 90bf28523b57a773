#include "formats/layer_label.hpp"

#include <gmock/gmock.h>

#include "formats/python_json.hpp"
#include "unit/fails_with.hpp"

namespace halftone::formats {
namespace {

/// `text` after `change` was done to it.
template <class ChangeLabel>
std::string changed(const std::string& text, const ChangeLabel& change) {
  auto label = parse_label(text, "a");
  EXPECT_TRUE(change(label)) << text;
  return python_dump(label);
}

TEST(LayerLabel, Full_precision_stands_where_convert_writes_it) {
  const auto set = [](auto& label) { return set_full_precision(label, true); };
  EXPECT_EQ(changed(R"({"format": "int8_tensorwise", "convrot": true, "per_row": true})", set),
            R"({"format": "int8_tensorwise", "full_precision_matrix_mult": true, "convrot": true, "per_row": true})");
  EXPECT_EQ(changed(R"({"format": "nvfp4", "orig_shape": [1, 2]})", set),
            R"({"format": "nvfp4", "orig_shape": [1, 2], "full_precision_matrix_mult": true})");
  EXPECT_EQ(changed(R"({"full_precision_matrix_mult": false, "format": "mxfp8"})", set),
            R"({"format": "mxfp8", "full_precision_matrix_mult": true})");
}

TEST(LayerLabel, Full_precision_is_taken_out) {
  EXPECT_EQ(changed(R"({"format": "mxfp8", "full_precision_matrix_mult": true, "x": "\u00e9"})",
                    [](auto& label) { return set_full_precision(label, false); }),
            R"({"format": "mxfp8", "x": "\u00e9"})");
}

TEST(LayerLabel, Flag_that_is_there_already_changes_nothing) {
  auto label = parse_label(R"({"full_precision_matrix_mult": true, "format": "mxfp8"})", "a");
  EXPECT_FALSE(set_full_precision(label, true));
  label = parse_label(R"({"format": "mxfp8"})", "a");
  EXPECT_FALSE(set_full_precision(label, false));
}

TEST(LayerLabel, Params_move_to_where_loaders_look) {
  EXPECT_EQ(changed(R"({"format": "f", "params": {"b": 1, "group_size": 64, "c": 2}, "c": 3})", flatten_params),
            R"({"format": "f", "c": 3, "group_size": 64, "b": 1})");
  auto flat = parse_label(R"({"format": "f", "group_size": 64})", "a");
  EXPECT_FALSE(flatten_params(flat));
}

TEST(LayerLabel, Text_that_is_no_object_is_refused_by_layer) {
  for (const char* text : {"[]", "{", "1", ""}) {
    EXPECT_THAT([&] { (void)parse_label(text, "a.b"); }, test::fails_with(ErrorKind::bad_quantization, "'a.b'")) << text;
  }
}

}  // namespace
}  // namespace halftone::formats
