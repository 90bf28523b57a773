#include <halftone/dtype.hpp>

#include <array>
#include <set>

#include <gmock/gmock.h>

namespace halftone {
namespace {

constexpr std::array kDtypes = {
#define HALFTONE_DTYPE(name, bits) Dtype::name,
#include <halftone/dtype.def>
#undef HALFTONE_DTYPE
};

TEST(Dtype, Every_name_leads_back_to_its_type) {
  for (const Dtype dtype : kDtypes) EXPECT_THAT(dtype_from_name(name_of(dtype)), testing::Optional(dtype)) << name_of(dtype);
}

TEST(Dtype, Unknown_name_gives_nothing) {
  for (const char* name : {"", "f32", "F32 ", "FLOAT", "F8"}) EXPECT_EQ(dtype_from_name(name), std::nullopt) << name;
}

TEST(Dtype, Sizes_are_those_of_the_specification) {
  const std::set<Dtype> six = {Dtype::F6_E2M3, Dtype::F6_E3M2};
  const std::set<Dtype> sixteen = {Dtype::I16, Dtype::U16, Dtype::F16, Dtype::BF16};
  const std::set<Dtype> thirty_two = {Dtype::I32, Dtype::U32, Dtype::F32};
  const std::set<Dtype> sixty_four = {Dtype::C64, Dtype::F64, Dtype::I64, Dtype::U64};
  for (const Dtype dtype : kDtypes) {
    const std::uint32_t want = dtype == Dtype::F4             ? 4
                               : six.count(dtype) != 0        ? 6
                               : sixteen.count(dtype) != 0    ? 16
                               : thirty_two.count(dtype) != 0 ? 32
                               : sixty_four.count(dtype) != 0 ? 64
                                                              : 8;
    EXPECT_EQ(bits_of(dtype), want) << name_of(dtype);
  }
}

TEST(Dtype, Only_four_floats_are_sources) {
  for (const Dtype dtype : kDtypes) {
    const bool want = dtype == Dtype::F64 || dtype == Dtype::F32 || dtype == Dtype::BF16 || dtype == Dtype::F16;
    EXPECT_EQ(is_source_float(dtype), want) << name_of(dtype);
  }
}

}  // namespace
}  // namespace halftone
