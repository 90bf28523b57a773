#include "formats/float_types.hpp"

#include <gmock/gmock.h>

#include <halftone/error.hpp>

#include "formats/float_index.hpp"

namespace halftone::formats {
namespace {

using testing::ElementsAre;

TEST(FloatTypes, F64_is_read_and_not_written) {
  EXPECT_EQ(source_floats(), "F64, F32, BF16 or F16");
  EXPECT_EQ(target_floats(), "F32, BF16 or F16");
  EXPECT_THAT(target_words(), ElementsAre("f32", "bf16", "f16"));
}

TEST(FloatTypes, Words_of_targets_are_lower_case) {
  EXPECT_EQ(target_from_word("bf16"), Dtype::BF16);
  for (const char* word : {"BF16", "f64", "", "bfloat16"}) EXPECT_EQ(target_from_word(word), std::nullopt) << word;
}

TEST(FloatTypes, Names_of_PyTorch_go_both_ways) {
  for (const Dtype dtype : {Dtype::F64, Dtype::F32, Dtype::BF16, Dtype::F16}) {
    EXPECT_EQ(float_from_torch_name(torch_name(dtype)), dtype) << name_of(dtype);
  }
  EXPECT_EQ(torch_name(Dtype::BF16), "bfloat16");
  EXPECT_EQ(float_from_torch_name("int8"), std::nullopt);
}

TEST(FloatTypes, Tables_have_no_place_for_other_types) {
  EXPECT_EQ(float_index(Dtype::BF16), kBf16);
  EXPECT_THROW(std::ignore = float_index(Dtype::I8), Error);
  EXPECT_THROW(std::ignore = torch_name(Dtype::F8_E4M3), Error);
}

}  // namespace
}  // namespace halftone::formats
