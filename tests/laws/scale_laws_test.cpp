// Scales that every format writes for the largest and the smallest weights there are, on every backend.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <functional>

#include <halftone/error.hpp>

#include "formats/stored_matrix.hpp"
#include "laws/law_case.hpp"
#include "ops/layer_operations.hpp"

namespace halftone::test {
namespace {

/// Weights by the place of each.
struct Extreme {
  const char* name;
  std::function<float(std::uint64_t row, std::uint64_t column)> value;
};

const std::vector<Extreme>& extremes() {
  constexpr float smallest = 0x1p-149F;
  static const std::vector<Extreme> all = {
      {"the largest everywhere", [](auto, auto) { return FLT_MAX; }},
      {"the largest of both signs", [](auto row, auto column) { return (row * 7 + column) % 3 == 0 ? -FLT_MAX : FLT_MAX; }},
      {"a large one among ones", [](auto row, auto column) { return row == 1 && column == 5 ? FLT_MAX : 1.0F; }},
      {"2^120 in places", [](auto, auto column) { return column % 16 == 3 ? 0x1p120F : 0.5F; }},
      {"2^115 everywhere", [](auto row, auto column) { return (row + column) % 5 == 0 ? -0x1p115F : 0x1p115F; }},
      {"large and subnormal rows", [](auto row, auto column) { return row == 0 ? (column % 2 == 0 ? 3e38F : -3e38F) : smallest; }},
      {"large and subnormal groups", [](auto, auto column) { return column < 64 ? 1e38F : 3 * smallest; }},
      {"the smallest everywhere", [](auto, auto) { return smallest; }},
      {"the smallest of both signs", [](auto row, auto column) { return (row + column) % 3 == 0 ? -smallest : smallest; }},
      {"subnormal", [](auto row, auto column) { return std::ldexp(1.0F, -149 + static_cast<int>((row * 5 + column) % 24)); }},
      {"the smallest normal", [](auto, auto column) { return column % 7 == 0 ? -FLT_MIN : FLT_MIN; }},
      {"every size", [](auto row, auto column) { return std::ldexp(1.5F, static_cast<int>((row * 31 + column * 7) % 270) - 145); }},
  };
  return all;
}

class ScaleLaw : public ::testing::TestWithParam<LawCase> {
 protected:
  [[nodiscard]] const Backend& backend() const { return *GetParam().backend.backend; }

  /// The ways in which the format makes scales.
  [[nodiscard]] std::vector<QuantSpec> specs() const {
    const QuantSpec plain = default_spec(*GetParam().format);
    const FormatFacts& facts = plain.format->facts();
    std::vector<QuantSpec> specs = {plain};
    for (const std::uint32_t group : facts.group_sizes) {
      specs.push_back(plain);
      specs.back().group_size = group;
    }
    for (const std::uint32_t rotation : facts.rotation_groups) {
      specs.push_back(plain);
      specs.back().rotation_group = rotation;
    }
    if (can_search_scales(*plain.format)) {
      specs.push_back(plain);
      specs.back().scales = ScaleMethod::search;
    }
    if (facts.takes_double_quant) {
      specs.push_back(plain);
      specs.back().double_quant = true;
    }
    return specs;
  }

  [[nodiscard]] static Weight weight(const QuantSpec& spec, Dtype dtype, const Extreme& extreme) {
    const std::uint64_t rows = fit_rows(spec, 3);
    const std::uint64_t columns = spec.format->storage().flat ? 512 : fit_columns(spec, 256);
    std::vector<float> values(rows * columns);
    for (std::uint64_t i = 0; i < values.size(); ++i) values[i] = extreme.value(i / columns, i % columns);
    if (dtype == Dtype::F16) {
      for (float& value : values) value = std::clamp(value, -65504.0F, 65504.0F);
    }
    if (dtype == Dtype::BF16) {
      for (float& value : values) value = std::clamp(value, -0x1.fep127F, 0x1.fep127F);
    }
    return make_weight(rows, columns, dtype, values);
  }
};

bool has_bad_scale(const LinearLayer& layer) {
  const formats::StoredMatrix stored(layer.spec, {layer.rows, layer.columns}, layer.codes, layer.scales, layer.tensor_scale,
                                     {layer.row_scales, layer.levels, layer.nested_scales, layer.nested_levels, layer.nested_offset});
  return stored.first_bad_scale().has_value();
}

TEST_P(ScaleLaw, Every_finite_weight_gets_finite_scales_or_is_refused_by_name) {
  for (const QuantSpec& spec : specs()) {
    if (!backend().supports(spec, GetParam().source)) continue;
    const bool may_refuse = spec.rotation_group != 0 || std::isfinite(spec.format->facts().largest_weight);
    for (const Extreme& extreme : extremes()) {
      SCOPED_TRACE(std::string(extreme.name) + ", rotation " + std::to_string(spec.rotation_group) + ", group " +
                   std::to_string(spec.group_size) + (spec.scales == ScaleMethod::search ? ", search" : "") +
                   (spec.double_quant ? ", double" : ""));
      const Weight w = weight(spec, GetParam().source, extreme);
      try {
        EXPECT_FALSE(has_bad_scale(ops::quantize_layer(backend(), spec, w.view())));
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::out_of_range) << error.what();
        EXPECT_NE(std::string_view(error.what()).find("weight"), std::string_view::npos) << error.what();
        EXPECT_TRUE(may_refuse) << error.what();
        EXPECT_GT(codec::from_bits(backend().max_magnitude(w.view())), 448.0F) << "refused without need: " << error.what();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ScaleLaw, ::testing::ValuesIn(all_cases()),
                         [](const auto& law) { return ::testing::PrintToString(law.param); });

}  // namespace
}  // namespace halftone::test
