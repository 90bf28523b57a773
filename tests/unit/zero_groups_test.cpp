#include "verify/zero_groups.hpp"

#include <gmock/gmock.h>

#include "support/format_spec.hpp"

namespace halftone::verify {
namespace {

/// What is reported of `values`, given in bands of `rows` rows.
std::string reported(QuantSpec spec, formats::Extent extent, const std::vector<float>& values, std::uint64_t rows) {
  ZeroGroups zeros(spec, extent);
  for (std::uint64_t row = 0; row < extent.rows; row += rows) {
    zeros.add(values.data() + row * extent.columns, std::min(rows, extent.rows - row));
  }
  Findings findings;
  zeros.report("a", findings);
  return findings.all().empty() ? "" : findings.all()[0].text;
}

QuantSpec spec_of(const char* format) { return test::default_spec(format_named(format)); }

TEST(ZeroGroups, Runs_end_with_their_row) {
  std::vector<float> values(3 * 24, 1.0F);  // nvfp4: runs of 16 and 8 in each row
  for (std::size_t i = 16; i < 24 + 16; ++i) values[i] = 0.0F;
  EXPECT_EQ(reported(spec_of("nvfp4"), {3, 24}, values, 1), "2 of its 6 groups that share a scale hold only zeros");
  EXPECT_EQ(reported(spec_of("nvfp4"), {3, 24}, values, 2), "2 of its 6 groups that share a scale hold only zeros");
}

TEST(ZeroGroups, Flat_blocks_go_on_in_the_next_row) {
  std::vector<float> values(5 * 40, 1.0F);  // nf4: blocks of 64 of 200 elements
  for (std::size_t i = 64; i < 128; ++i) values[i] = 0.0F;
  EXPECT_EQ(reported(spec_of("nf4"), {5, 40}, values, 1), "1 of its 4 groups that share a scale hold only zeros");
  EXPECT_EQ(reported(spec_of("nf4"), {5, 40}, values, 5), "1 of its 4 groups that share a scale hold only zeros");
}

TEST(ZeroGroups, Square_blocks_are_counted_across) {
  std::vector<float> values(128 * 128, 0.0F);
  values[127] = 1.0F;
  EXPECT_EQ(reported(spec_of("fp8-block"), {128, 128}, values, 64), "3 of its 4 groups that share a scale hold only zeros");
}

TEST(ZeroGroups, Weight_with_one_scale_is_one_group) {
  std::vector<float> values(4 * 8, 0.0F);
  EXPECT_EQ(reported(spec_of("fp8"), {4, 8}, values, 1), "holds only zeros");
  values.back() = -1.0F;
  EXPECT_EQ(reported(spec_of("fp8"), {4, 8}, values, 1), "");
}

}  // namespace
}  // namespace halftone::verify
