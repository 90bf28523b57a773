#include <set>

#include <gmock/gmock.h>

#include <halftone/format.hpp>

#include "cpu/kernel_table.hpp"
#include "unit/fails_with.hpp"

namespace halftone {
namespace {

using test::fails_with;

TEST(Registry, Names_are_unique_and_lead_back) {
  std::set<std::string_view> names;
  for (const FormatDescriptor* format : all_formats()) {
    EXPECT_TRUE(names.insert(format->name()).second) << format->name();
    EXPECT_EQ(find_format(format->name()), format);
    EXPECT_EQ(&format_named(format->name()), format);
  }
}

TEST(Registry, Index_is_the_position_in_the_list) {
  ASSERT_EQ(all_formats().size(), cpu::kFormatCount);
  for (std::size_t i = 0; i < all_formats().size(); ++i) EXPECT_EQ(all_formats()[i]->index(), i);
}

TEST(Registry, Every_format_can_be_presented) {
  for (const FormatDescriptor* format : all_formats()) {
    const FormatFacts& facts = format->facts();
    EXPECT_FALSE(facts.summary.empty()) << facts.name;
    EXPECT_FALSE(facts.loaders.empty()) << facts.name;
    EXPECT_GT(facts.heuristic_block, 0U) << facts.name;
    EXPECT_GT(facts.matmul_alignment, 0U) << facts.name;
    EXPECT_EQ(facts.block_sizes.empty(), facts.storage.grid != ScaleGrid::block && !facts.storage.flat) << facts.name;
    EXPECT_TRUE(facts.plain.empty() || find_format(facts.plain) != nullptr) << facts.name;
  }
}

// Rotation::automatic measures both forms of a weight without knowing its largest magnitude.
TEST(Registry, Plain_forms_of_rotated_formats_are_unrotated_and_have_scales_of_rows) {
  for (const FormatDescriptor* format : all_formats()) {
    const FormatFacts& facts = format->facts();
    if (facts.rotation_groups.empty() || facts.plain.empty()) continue;
    const FormatFacts& plain = format_named(facts.plain).facts();
    EXPECT_TRUE(plain.rotation_groups.empty()) << facts.name;
    EXPECT_EQ(facts.storage.grid, ScaleGrid::row) << facts.name;
    EXPECT_EQ(plain.storage.grid, ScaleGrid::row) << facts.name;
    EXPECT_FALSE(plain.storage.flat || plain.storage.two_level) << facts.name;
    EXPECT_EQ(plain.needs_custom_node, facts.needs_custom_node) << facts.name;
  }
}

// What the loops over codes and scales serve; another combination needs a look at them first.
TEST(Registry, Every_format_combines_what_is_served) {
  for (const FormatDescriptor* format : all_formats()) {
    const FormatFacts& facts = format->facts();
    const Storage& storage = facts.storage;
    const bool grouped = storage.grid != ScaleGrid::none && storage.grid != ScaleGrid::tensor;
    EXPECT_TRUE(facts.rotation_groups.empty() || ((storage.grid == ScaleGrid::row || storage.row_scales) && !storage.two_level))
        << facts.name;
    EXPECT_TRUE(!storage.row_scales ||
                (storage.grid == ScaleGrid::run && !facts.rotation_groups.empty() && storage.scale_bytes == 1 && !storage.swizzled))
        << facts.name;
    EXPECT_TRUE(facts.group_sizes.empty() || storage.grid == ScaleGrid::run) << facts.name;
    EXPECT_TRUE(storage.code_bits == 8 || (storage.code_bits == 4 && grouped)) << facts.name;
    EXPECT_TRUE(!storage.unit_scales_for_zeros || storage.scale_bytes == sizeof(float)) << facts.name;
    EXPECT_TRUE(!storage.swizzled || storage.scale_bytes == 1) << facts.name;
    EXPECT_TRUE(storage.padding == 1 || (storage.grid == ScaleGrid::run && storage.padding == storage.run)) << facts.name;
    EXPECT_TRUE(!storage.flat || (storage.grid == ScaleGrid::row && !facts.block_sizes.empty())) << facts.name;
    EXPECT_TRUE(!storage.two_level || grouped) << facts.name;
  }
}

TEST(Registry, Block_sizes_and_their_defaults_are_the_documented_ones) {
  EXPECT_THAT(format_named("fp8-block").facts().block_sizes, testing::ElementsAre(64, 128));
  EXPECT_EQ(format_named("int8-block").facts().block_sizes.front(), 128U);
}

TEST(Registry, Unknown_name_suggests_the_nearest) {
  EXPECT_EQ(find_format("fp8-rows"), nullptr);
  EXPECT_THAT([] { (void)format_named("fp8-rows"); }, fails_with(ErrorKind::usage, "'fp8-rows'", "did you mean 'fp8-row'"));
}

TEST(Registry, Name_is_case_sensitive) { EXPECT_EQ(find_format("FP8"), nullptr); }

}  // namespace
}  // namespace halftone
