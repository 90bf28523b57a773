#include "api/layer_note.hpp"

#include <gtest/gtest.h>

namespace halftone::api {
namespace {

/// No member has the value that it begins with.
LearnedLayer full_layer() {
  return {.tensor = "known to the plan",
          .method = LearnMethod::feedback,
          .kept_nearest_because = "\"it\"\n\\ was",
          .changed = 1,
          .elements = std::uint64_t{1} << 60,
          .moved_scales = 2,
          .squared_error = 0.1,
          .target = MovedTarget{.damping = 1e-300, .change = 0.2},
          .loss_ratio = 1.0 / 3,
          .squared_error_ratio = 1.0 / 7,
          .output_error_ratio = 5e-324,
          .rank = 3,
          .wanted_rank = 4,
          .captured_energy = 0.3,
          .basis_residual = 0.4,
          .damping = 0.5,
          .iterations = -5,
          .stop_reason = "the loss is small enough",
          .lora_rank = 6,
          .lora_directions = 7,
          .lora_captured = 0.6,
          .lora_by_output = true,
          .seconds = 0.7};
}

TEST(LayerNote, Every_member_comes_back_exactly) {
  const LearnedLayer layer = full_layer();
  const std::string note = note_of(layer);
  EXPECT_EQ(note.find('\n'), std::string::npos);
  const auto found = layer_from(note);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tensor, "");
  EXPECT_EQ(found->method, layer.method);
  EXPECT_EQ(found->kept_nearest_because, layer.kept_nearest_because);
  EXPECT_EQ(found->changed, layer.changed);
  EXPECT_EQ(found->elements, layer.elements);
  EXPECT_EQ(found->moved_scales, layer.moved_scales);
  EXPECT_EQ(found->squared_error, layer.squared_error);
  ASSERT_TRUE(found->target);
  EXPECT_EQ(found->target->damping, layer.target->damping);
  EXPECT_EQ(found->target->change, layer.target->change);
  EXPECT_EQ(found->loss_ratio, layer.loss_ratio);
  EXPECT_EQ(found->squared_error_ratio, layer.squared_error_ratio);
  EXPECT_EQ(found->output_error_ratio, layer.output_error_ratio);
  EXPECT_EQ(found->rank, layer.rank);
  EXPECT_EQ(found->wanted_rank, layer.wanted_rank);
  EXPECT_EQ(found->captured_energy, layer.captured_energy);
  EXPECT_EQ(found->basis_residual, layer.basis_residual);
  EXPECT_EQ(found->damping, layer.damping);
  EXPECT_EQ(found->iterations, layer.iterations);
  EXPECT_EQ(found->stop_reason, layer.stop_reason);
  EXPECT_EQ(found->lora_rank, layer.lora_rank);
  EXPECT_EQ(found->lora_directions, layer.lora_directions);
  EXPECT_EQ(found->lora_captured, layer.lora_captured);
  EXPECT_EQ(found->lora_by_output, layer.lora_by_output);
  EXPECT_EQ(found->seconds, layer.seconds);
}

TEST(LayerNote, What_is_not_there_stays_so) {
  const auto found = layer_from(note_of({}));
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->target);
  EXPECT_FALSE(found->loss_ratio);
  EXPECT_FALSE(found->lora_captured);
}

TEST(LayerNote, Other_text_is_no_layer) {
  const std::string note = note_of(full_layer());
  std::string of_another_method = note;
  of_another_method.replace(of_another_method.find("feedback"), 8, "forwards");
  for (const std::string& text : {std::string(), std::string("{}"), std::string("[1]"), note.substr(0, note.size() - 1),
                                  std::string(note.size(), '\0'), of_another_method}) {
    EXPECT_FALSE(layer_from(text)) << text;
  }
}

}  // namespace
}  // namespace halftone::api
