// Every way in which the text of a header can be wrong.
#include <halftone/safetensors.hpp>

#include "unit/reject_case.hpp"

namespace halftone::test {
namespace {

using Kind = ErrorKind;

/// The header `json`.
Reject text(Kind kind, std::string name, std::string json, std::string word) {
  return {std::move(name), kind, std::move(word), [json = std::move(json)](const TempFolder&) { (void)parse_header(json); }};
}

/// A header whose only entry, "a", is `entry`.
Reject entry(Kind kind, std::string name, const std::string& entry, std::string word) {
  return text(kind, std::move(name), "{\"a\":" + entry + "}", std::move(word));
}

/// A tensor "a" with one field changed; the data has 8 bytes.
Reject field(std::string name, const std::string& dtype, const std::string& shape, const std::string& offsets, std::string word,
             Kind kind = Kind::header_not_json) {
  return entry(kind, std::move(name), "{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}",
               std::move(word));
}

/// A header with a U8 tensor at each pair of offsets.
std::string tensors(const std::vector<std::pair<int, int>>& places) {
  std::string json = "{";
  for (const auto& [begin, end] : places) {
    json += (json.size() > 1 ? ",\"t" : "\"t") + std::to_string(json.size()) + "\":{\"dtype\":\"U8\",\"shape\":[" +
            std::to_string(std::abs(end - begin)) + "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
  }
  return json + "}";
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::vector<Reject> structure_cases() {
  const auto not_json = [](std::string name, std::string json, std::string word) { return text(Kind::header_not_json, name, json, word); };
  std::vector<Reject> cases = {
      not_json("no_text", "", "'{'"),
      not_json("only_spaces", "   ", "'{'"),
      not_json("array", "[]", "'{'"),
      not_json("null", "null", "'{'"),
      not_json("byte_order_mark", "\xEF\xBB\xBF{}", "'{'"),
      not_json("open_object", "{", "byte"),
      not_json("trailing_comma", R"({"__metadata__":{},})", "byte"),
      not_json("trailing_text", "{} x", "byte"),
      not_json("two_objects", "{}{}", "byte"),
      not_json("nul_padding", std::string("{}\0\0", 4), "NUL"),
      not_json("nul_in_a_name", std::string("{\"a\0\":{}}", 9), "NUL"),
      not_json("comment", "{/**/}", "byte"),
      not_json("single_quotes", "{'a':1}", "byte"),
      not_json("lone_surrogate", R"({"\ud800":{}})", "byte"),
      not_json("raw_newline_in_a_name", "{\"a\n\":{}}", "byte"),
      not_json("metadata_text", R"({"__metadata__":"x"})", "'x'"),
      not_json("metadata_number", R"({"__metadata__":1})", "1"),
      not_json("metadata_array", R"({"__metadata__":[]})", "array"),
      not_json("metadata_value_number", R"({"__metadata__":{"k":1}})", "1"),
      not_json("metadata_value_null", R"({"__metadata__":{"k":null}})", "null"),
      not_json("metadata_value_object", R"({"__metadata__":{"k":{}}})", "object"),
      not_json("metadata_value_array", R"({"__metadata__":{"k":["v"]}})", "array"),
      not_json("metadata_value_boolean", R"({"__metadata__":{"k":true}})", "boolean"),
      not_json("metadata_twice", R"({"__metadata__":{},"__metadata__":{}})", "twice"),
      not_json("metadata_null_then_object", R"({"__metadata__":null,"__metadata__":{}})", "twice"),
      not_json("metadata_key_twice", R"({"__metadata__":{"k":"1","k":"1"}})", "'k' twice"),
  };
  const std::pair<const char*, const char*> entries[] = {{"number", "5"},  {"negative", "-5"}, {"fraction", "0.5"}, {"text", "\"x\""},
                                                         {"null", "null"}, {"array", "[]"},    {"boolean", "true"}};
  for (const auto& [name, value] : entries) cases.push_back(entry(Kind::header_not_json, std::string("entry_") + name, value, "'a'"));
  return cases;
}

std::vector<Reject> field_cases() {
  const std::string f32 = "\"F32\"";
  return {
      field("unknown_type", "\"F33\"", "[2]", "[0,8]", "F33"),
      field("lower_case_type", "\"f32\"", "[2]", "[0,8]", "f32"),
      field("type_number", "32", "[2]", "[0,8]", "dtype"),
      field("type_null", "null", "[2]", "[0,8]", "null"),
      field("type_array", "[\"F32\"]", "[2]", "[0,8]", "array"),
      field("shape_number", f32, "2", "[0,8]", "shape"),
      field("shape_object", f32, "{}", "[0,8]", "object"),
      field("shape_null", f32, "null", "[0,8]", "null"),
      field("shape_nested", f32, "[[2]]", "[0,8]", "array"),
      field("shape_negative", f32, "[-2]", "[0,8]", "-2"),
      field("shape_minus_zero", f32, "[-0]", "[0,0]", "negative"),
      field("shape_fraction", f32, "[2.0]", "[0,8]", "2.0"),
      field("shape_exponent", f32, "[2e0]", "[0,8]", "2e0"),
      field("shape_text", f32, "[\"2\"]", "[0,8]", "'2'"),
      field("shape_beyond_64_bits", f32, "[18446744073709551616]", "[0,8]", "18446744073709551616"),
      field("shape_boolean", f32, "[true]", "[0,8]", "boolean"),
      field("offsets_one", f32, "[2]", "[8]", "1 number instead"),
      field("offsets_three", f32, "[2]", "[0,8,8]", "3 numbers"),
      field("offsets_none", f32, "[2]", "[]", "0 numbers"),
      field("offsets_number", f32, "[2]", "8", "data_offsets"),
      field("offsets_negative", f32, "[2]", "[-8,0]", "-8"),
      field("offsets_object", f32, "[2]", "{\"0\":8}", "object"),
      entry(Kind::header_not_json, "no_type", R"({"shape":[2],"data_offsets":[0,8]})", "no field 'dtype'"),
      entry(Kind::header_not_json, "no_shape", R"({"dtype":"F32","data_offsets":[0,8]})", "no field 'shape'"),
      entry(Kind::header_not_json, "no_offsets", R"({"dtype":"F32","shape":[2]})", "no field 'data_offsets'"),
      entry(Kind::header_not_json, "field_twice", R"({"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})", "'shape' twice"),
      field("product_beyond_64_bits", f32, "[4294967296,4294967296]", "[0,8]", "'a'", Kind::size_overflow),
      field("bits_beyond_64_bits", "\"F64\"", "[288230376151711744]", "[0,8]", "'a'", Kind::size_overflow),
      field("product_overflows_before_a_zero", f32, "[4294967296,4294967296,0]", "[0,0]", "'a'", Kind::size_overflow),
      field("half_a_byte", "\"F4\"", "[3]", "[0,2]", "12 bits", Kind::misaligned_bits),
      field("six_bits", "\"F6_E3M2\"", "[]", "[0,1]", "6 bits", Kind::misaligned_bits),
      field("too_few_bytes", f32, "[3]", "[0,8]", "12 expected", Kind::tensor_size),
      field("too_many_bytes", f32, "[1]", "[0,8]", "4 expected", Kind::tensor_size),
      field("empty_with_bytes", f32, "[0]", "[0,8]", "0 expected", Kind::tensor_size),
      field("scalar_without_bytes", f32, "[]", "[0,0]", "4 expected", Kind::tensor_size),
  };
}

std::vector<Reject> layout_cases() {
  const std::string extra = R"(,"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  return {
      text(Kind::tensor_offsets, "hole_at_the_start", tensors({{1, 4}}), "hole at the start"),
      text(Kind::tensor_offsets, "hole_between", tensors({{0, 4}, {5, 8}}), "hole"),
      text(Kind::tensor_offsets, "overlap", tensors({{0, 4}, {3, 8}}), "overlaps"),
      text(Kind::tensor_offsets, "same_bytes_twice", tensors({{0, 4}, {0, 4}}), "overlaps"),
      text(Kind::tensor_offsets, "one_inside_another", tensors({{0, 8}, {2, 4}}), "overlaps"),
      text(Kind::tensor_offsets, "end_before_begin", tensors({{0, 4}, {4, 2}}), "ends before"),
      text(Kind::duplicate_tensor, "name_twice",
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "'a' twice"),
      text(Kind::duplicate_tensor, "escaped_name_twice", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{}})",
           "'a' twice"),
      entry(Kind::header_nesting, "deep_array", "{\"x\":" + nested(31) + extra, "32"),
      entry(Kind::header_nesting, "very_deep_array", "{\"x\":" + nested(1'000'000) + extra, "32"),
      text(Kind::header_not_utf8, "stray_byte", "{\"\xFF\":1}", "UTF-8"),
      text(Kind::header_not_utf8, "overlong_slash", "{\"\xC0\xAF\":1}", "UTF-8"),
      text(Kind::header_not_utf8, "raw_surrogate", "{\"\xED\xA0\x80\":1}", "UTF-8"),
      text(Kind::header_not_utf8, "padding", "{}\x80", "UTF-8"),
  };
}

}  // namespace

std::vector<Reject> header_rejects() {
  std::vector<Reject> all = structure_cases();
  for (auto&& part : {field_cases(), layout_cases()}) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace halftone::test
