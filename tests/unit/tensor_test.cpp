#include <halftone/tensor.hpp>

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"

namespace halftone {
namespace {

using test::fails_with;

constexpr std::uint64_t kHuge = std::uint64_t{1} << 32;

TEST(Shape, Text_is_a_list) {
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ(to_string(Shape{7}), "[7]");
  EXPECT_EQ(to_string(Shape{130, 80}), "[130, 80]");
}

TEST(ElementCount, Product_of_the_extents) {
  EXPECT_EQ(element_count({}), 1U);
  EXPECT_EQ(element_count({3, 5, 7}), 105U);
  EXPECT_EQ(element_count({3, 0, 7}), 0U);
  EXPECT_EQ(element_count({kHuge, kHuge - 1}), kHuge * (kHuge - 1));
}

TEST(ElementCount, Product_beyond_64_bits_is_refused) {
  EXPECT_THAT([] { (void)element_count({kHuge, kHuge}); }, fails_with(ErrorKind::size_overflow, "[4294967296, 4294967296]"));
}

TEST(ByteCount, Sub_byte_elements_are_packed) {
  EXPECT_EQ(byte_count(Dtype::F4, {2, 3}), 3U);
  EXPECT_EQ(byte_count(Dtype::F6_E3M2, {4}), 3U);
  EXPECT_EQ(byte_count(Dtype::C64, {2}), 16U);
}

TEST(ByteCount, Loose_bits_are_refused) {
  EXPECT_THAT([] { (void)byte_count(Dtype::F6_E2M3, {5}); }, fails_with(ErrorKind::misaligned_bits, "F6_E2M3", "30 bits"));
}

TEST(ByteCount, Bits_beyond_64_bits_are_refused) {
  EXPECT_THAT([] { (void)byte_count(Dtype::F64, {kHuge, kHuge / 2}); }, fails_with(ErrorKind::size_overflow, "F64"));
}

}  // namespace
}  // namespace halftone
