// Laws of learned rounding, for every format that it serves on every backend.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <stdexcept>

#include "formats/movable_scales.hpp"
#include "formats/scale_rules.hpp"
#include "laws/law_case.hpp"
#include "learn/basis.hpp"
#include "learn/project.hpp"
#include "learn/quantized_weight.hpp"
#include "learn/solve.hpp"
#include "learn/steps.hpp"

namespace halftone::test {
namespace {

struct LearnCase {
  const FormatDescriptor* format;
  NamedBackend backend;
};

std::vector<LearnCase> learn_cases() {
  std::vector<LearnCase> cases;
  const std::vector<NamedBackend> backends = backends_with_engines();
  for (const FormatDescriptor* format : all_formats()) {
    if (format->storage().row_scales) continue;
    for (const NamedBackend& backend : backends) cases.push_back({format, backend});
  }
  return cases;
}

using Doubles = std::vector<double>;

/// Products of small matrices in binary64, row-major: the model that results are held against.
Doubles product(const Doubles& a, const Doubles& b, std::size_t rows, std::size_t inner, std::size_t columns) {
  Doubles c(rows * columns);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t k = 0; k < inner; ++k) {
      for (std::size_t j = 0; j < columns; ++j) c[i * columns + j] += a[i * inner + k] * b[k * columns + j];
    }
  }
  return c;
}

double squared_norm(const Doubles& a) {
  double sum = 0;
  for (const double value : a) sum += value * value;
  return sum;
}

/// A layer of a format with its weight, quantized to nearest on a backend.
class LearnLaw : public ::testing::TestWithParam<LearnCase> {
 protected:
  LearnLaw()
      : spec_(default_spec(*GetParam().format)),
        rows_(fit_rows(spec_, 96)),
        columns_(fit_columns(spec_, 130)),
        layout_(spec_, rows_, columns_),
        engine_(GetParam().backend.backend->make_engine(0)),
        memory_(*engine_),
        weight_(memory_.matrix(rows_, columns_)),
        values_(sample()) {
    engine_->upload(values_.data(), weight_.data, values_.size() * sizeof(float));
    quantized_.emplace(*engine_, spec_, layout_, weight_);
    quantized_->round_to_nearest(codec::from_bits(engine_->largest(weight_.data, values_.size())), {});
  }

  /// Weights of a few directions and a bulk, of two magnitudes.
  [[nodiscard]] std::vector<float> sample() const {
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0.0F, 0.02F);
    std::vector<float> values(rows_ * columns_);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = normal(random) * (i % 17 == 0 ? 4.0F : 1.0F);
    return values;
  }

  /// The second moments of inputs that are not alike.
  [[nodiscard]] std::vector<float> moments() const {
    std::mt19937 random(8);
    std::normal_distribution<float> normal;
    std::vector<float> second(columns_ * columns_);
    std::vector<float> x(columns_);
    const std::size_t vectors = 4 * columns_;
    for (std::size_t v = 0; v < vectors; ++v) {
      const float common = normal(random);
      for (std::size_t i = 0; i < columns_; ++i) x[i] = (normal(random) + common) * (i % 5 == 0 ? 3.0F : 1.0F);
      for (std::size_t i = 0; i < columns_; ++i) {
        for (std::size_t j = 0; j < columns_; ++j) second[i * columns_ + j] += x[i] * x[j] / static_cast<float>(vectors);
      }
    }
    return second;
  }

  /// What the stored codes and scales stand for, by the backend's own way back, less the weight.
  [[nodiscard]] Doubles errors() {
    std::vector<std::byte> codes(layout_.code_bytes(layout_.rows()));
    quantized_->read_codes(0, codes.size(), codes.data());
    QuantSpec plain = spec_;
    plain.rotation_group = 0;
    std::vector<float> values(layout_.rows() * layout_.columns());
    const float amax = quantized_->scaled_amax();
    GetParam().backend.backend->dequantize(plain, {codes.data(), spec_.format->facts().code_dtype, layout_.rows(), layout_.columns()},
                                           quantized_->scales_of(0, layout_.rows()).data(), tensor_scale(*spec_.format, amax),
                                           values.data());
    Doubles errors(values_.size());
    for (std::size_t i = 0; i < errors.size(); ++i) errors[i] = static_cast<double>(values[i]) - static_cast<double>(values_[i]);
    return errors;
  }

  [[nodiscard]] double output_error(const Doubles& errors, const std::vector<float>& second) const {
    const Doubles h(second.begin(), second.end());
    const Doubles image = product(errors, h, rows_, columns_, columns_);
    double sum = 0;
    for (std::size_t i = 0; i < errors.size(); ++i) sum += image[i] * errors[i];
    return sum;
  }

  /// ‖Uᵀ E V‖².
  [[nodiscard]] double squared_loss(const Doubles& errors, const learn::Basis& basis) {
    const std::uint64_t rank = basis.left.columns;
    std::vector<float> left(rows_ * rank);
    std::vector<float> right(columns_ * rank);
    engine_->download(basis.left.data, left.data(), left.size() * sizeof(float));
    engine_->download(basis.right.data, right.data(), right.size() * sizeof(float));
    const Doubles inside = product(errors, Doubles(right.begin(), right.end()), rows_, columns_, rank);
    Doubles turned(left.size());
    for (std::size_t i = 0; i < rows_; ++i) {
      for (std::size_t k = 0; k < rank; ++k) turned[k * rows_ + i] = static_cast<double>(left[i * rank + k]);
    }
    return squared_norm(product(turned, inside, rank, rows_, rank));
  }

  QuantSpec spec_;
  std::uint64_t rows_;
  std::uint64_t columns_;
  formats::LayerLayout layout_;
  std::shared_ptr<learn::Engine> engine_;
  learn::Memory memory_;
  learn::Matrix weight_;
  std::vector<float> values_;
  std::optional<learn::QuantizedWeight> quantized_;
};

TEST_P(LearnLaw, Levels_round_as_the_format_does) {
  const learn::Levels levels = learn::levels_of(*spec_.format);
  const formats::ScaleRules& rules = formats::scale_rules(*spec_.format);
  const float most = levels.values[levels.count - 1];
  for (int i = -2000; i <= 2000; ++i) {
    const float value = most * 1.3F * static_cast<float>(i) / 2000.0F;
    const float expected = rules.decode(static_cast<std::uint8_t>(rules.encode(value, 1.0F)), 1.0F);
    ASSERT_EQ(levels.values[learn::nearest_level(levels.thresholds, value)], expected) << value;
  }
  for (std::uint32_t i = 0; i + 1 < levels.count; ++i) {
    ASSERT_LT(levels.values[i], levels.values[i + 1]);
    const float at = levels.thresholds[i];
    ASSERT_EQ(rules.decode(static_cast<std::uint8_t>(rules.encode(at, 1.0F)), 1.0F), levels.values[i + 1]);
    ASSERT_EQ(rules.decode(static_cast<std::uint8_t>(rules.encode(std::nextafter(at, -1e30F), 1.0F)), 1.0F), levels.values[i]);
  }
}

TEST_P(LearnLaw, A_layer_begins_with_the_values_that_its_nearest_codes_stand_for) {
  const Doubles expected = errors();
  const learn::Layer& layer = quantized_->layer();
  std::vector<float> found(expected.size());
  engine_->download(layer.errors.data, found.data(), found.size() * sizeof(float));
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], static_cast<float>(expected[i])) << "element " << i;
}

TEST_P(LearnLaw, Levels_that_are_taken_are_those_that_are_stored) {
  const learn::Layer& layer = quantized_->layer();
  const learn::Levels levels = learn::levels_of(*spec_.format);
  std::vector<std::uint8_t> wanted(values_.size());
  engine_->download(layer.levels, wanted.data(), wanted.size());
  std::uint64_t changed = 0;
  for (std::size_t i = 0; i < wanted.size(); i += 3) {
    const auto next = static_cast<std::uint8_t>(wanted[i] + 1U < levels.count ? wanted[i] + 1U : wanted[i] - 1U);
    wanted[i] = next;
    ++changed;
  }
  EXPECT_EQ(quantized_->take(memory_.array_of(wanted.data(), wanted.size())), changed);
  const Doubles stored = errors();
  std::vector<float> found(stored.size());
  engine_->download(layer.errors.data, found.data(), found.size() * sizeof(float));
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], static_cast<float>(stored[i])) << "element " << i;
}

TEST_P(LearnLaw, Feedback_makes_the_error_of_outputs_smaller_and_says_by_how_much) {
  const std::vector<float> second = moments();
  const double nearest = output_error(errors(), second);
  const learn::Moments known{.second = memory_.matrix_of(second.data(), columns_, columns_), .count = 4 * columns_};
  const LearnedLayer learned = learn::solve(*engine_, {.method = LearnMethod::feedback}, *quantized_, known);
  ASSERT_EQ(learned.kept_nearest_because, "");
  const double ratio = output_error(errors(), second) / nearest;
  EXPECT_LT(ratio, 0.75);
  EXPECT_NEAR(*learned.output_error_ratio, ratio, 0.01);
}

TEST_P(LearnLaw, Projection_makes_the_loss_smaller_within_its_budget_and_says_by_how_much) {
  const learn::Basis basis = learn::leading_basis(*engine_, memory_, weight_, 16, learn::BasisMethod::exact, 4, 1);
  const Doubles before = errors();
  const learn::Layer& layer = quantized_->layer();
  auto* levels = memory_.array<std::uint8_t>(layer.elements());
  const learn::Outcome outcome = learn::project(*engine_, layer, basis, {.budget = 0.05}, levels);
  quantized_->take(levels);
  const Doubles after = errors();
  EXPECT_NEAR(outcome.nearest_loss / std::sqrt(squared_loss(before, basis)), 1.0, 0.01);
  EXPECT_NEAR(outcome.loss / std::sqrt(squared_loss(after, basis)), 1.0, 0.05);
  EXPECT_LT(squared_loss(after, basis), 0.2 * squared_loss(before, basis));
  EXPECT_LE(squared_norm(after), 1.051 * squared_norm(before));
}

TEST_P(LearnLaw, A_projection_goes_on_at_its_budget) {
  const learn::Basis basis = learn::leading_basis(*engine_, memory_, weight_, 16, learn::BasisMethod::exact, 4, 1);
  const learn::Layer& layer = quantized_->layer();
  auto* levels = memory_.array<std::uint8_t>(layer.elements());
  const auto project = [&](const learn::FlipEffort& flips) {
    const learn::Outcome outcome = learn::project(*engine_, layer, basis, {.budget = 0.01, .flips = flips}, levels);
    EXPECT_LE(outcome.squared_error, 1.01 * outcome.nearest_squared_error);
    return outcome.loss / outcome.nearest_loss;
  };
  EXPECT_LT(project(learn::numbers_of(Effort::best).flips), 0.93 * project({.passes = 0}));
}

/// Without a pull and a curvature, elements go down the gradient, those first that take most off the loss.
class FlipLaw : public LearnLaw {
 protected:
  struct Flipped {
    std::vector<std::uint8_t> levels;
    std::vector<double> gains;  ///< what each flip takes off half the loss; 0 of elements that stay
    [[nodiscard]] double sum() const { return std::accumulate(gains.begin(), gains.end(), 0.0); }
  };

  /// The levels that a pass makes of those of rounding to nearest.
  [[nodiscard]] Flipped flip(const learn::FlipLimit& limit) {
    const learn::Layer& layer = quantized_->layer();
    learn::Memory memory(*engine_);
    const std::vector<float> zeros(std::max(layer.rows(), layer.columns()));
    const learn::Flips flips{.target = layer.weight,
                             .gradient = memory.matrix_of(gradient_.data(), layer.rows(), layer.columns()),
                             .errors = memory.matrix_of(errors_.data(), layer.rows(), layer.columns()),
                             .weight = layer.weight,
                             .levels = memory.array_of(levels_.data(), levels_.size()),
                             .grid = layer.grid,
                             .row_norms = memory.array_of(zeros.data(), layer.rows()),
                             .column_norms = memory.array_of(zeros.data(), layer.columns())};
    engine_->flip(flips, limit, 0);
    Flipped flipped{std::vector<std::uint8_t>(levels_.size()), {}};
    engine_->download(flips.levels, flipped.levels.data(), levels_.size());
    std::vector<float> after(errors_.size());
    engine_->download(flips.errors.data, after.data(), after.size() * sizeof(float));
    for (std::size_t i = 0; i < after.size(); ++i) {
      flipped.gains.push_back((static_cast<double>(errors_[i]) - static_cast<double>(after[i])) * static_cast<double>(gradient_[i]));
    }
    return flipped;
  }

  void SetUp() override {
    const learn::Layer& layer = quantized_->layer();
    gradient_ = sample_values(layer.elements(), 9);
    levels_.resize(layer.elements());
    errors_.resize(layer.elements());
    engine_->download(layer.levels, levels_.data(), levels_.size());
    engine_->download(layer.errors.data, errors_.data(), errors_.size() * sizeof(float));
  }

  std::vector<float> gradient_;
  std::vector<std::uint8_t> levels_;
  std::vector<float> errors_;
};

TEST_P(FlipLaw, A_pass_that_is_to_take_off_all_flips_whatever_may_flip) {
  const std::uint32_t count = learn::levels_of(*spec_.format).count;
  const learn::FlipLimit limit{.share = 1e6, .squared_loss = 1, .halvings = 2, .seed = 5};
  std::vector<std::uint8_t> expected = levels_;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (!learn::may_flip(i, limit.halvings, limit.seed)) continue;
    ++chosen;
    if (gradient_[i] > 0 && expected[i] > 0) {
      --expected[i];
    } else if (gradient_[i] < 0 && expected[i] + 1U < count) {
      ++expected[i];
    }
  }
  EXPECT_NEAR(static_cast<double>(chosen) / static_cast<double>(expected.size()), 0.25, 0.02);
  EXPECT_EQ(flip(limit).levels, expected);
}

TEST_P(FlipLaw, A_pass_flips_the_largest_gains_that_make_up_its_share) {
  constexpr double bin = 1.25;  // the widest one by its least gain
  constexpr double rounding = 1e-3;
  const Flipped all = flip({.share = 1e6, .squared_loss = 1, .halvings = 1, .seed = 3});
  const double share = 0.4 * all.sum();
  const Flipped some = flip({.share = share, .squared_loss = 1, .halvings = 1, .seed = 3});
  EXPECT_GE(some.sum(), (1 - rounding) * share);
  double least = std::numeric_limits<double>::infinity();
  double most_left = 0;
  for (std::size_t i = 0; i < all.gains.size(); ++i) {
    if (some.gains[i] > 0) {
      least = std::min(least, some.gains[i]);
    } else {
      most_left = std::max(most_left, all.gains[i]);
    }
  }
  EXPECT_LE(most_left, (1 + rounding) * least);
  double without_a_bin = 0;
  for (const double gain : some.gains) without_a_bin += gain > bin * least ? gain : 0;
  EXPECT_LT(without_a_bin, (1 + rounding) * share);
}

/// Formats whose groups have scales, which a search may choose.
class SearchedScalesLearnLaw : public LearnLaw {
 protected:
  SearchedScalesLearnLaw() {
    spec_.scales = ScaleMethod::search;
    for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i] = i % 3 == 0 ? 25.0F : 0.1F * static_cast<float>(i % 7);
  }

  struct Stored {
    std::vector<std::byte> codes;
    std::vector<std::byte> scales;
    bool operator==(const Stored&) const = default;
  };
  /// What a backend makes of the weight.
  [[nodiscard]] Stored stored(const Backend& backend, unsigned threads) const {
    const std::shared_ptr<learn::Engine> engine = backend.make_engine(0);
    learn::Memory memory(*engine);
    learn::QuantizedWeight quantized(*engine, spec_, layout_, memory.matrix_of(values_.data(), rows_, columns_));
    quantized.round_to_nearest(quantized_->scaled_amax(), weights_, threads);
    Stored result{std::vector<std::byte>(layout_.code_bytes(layout_.rows())), {}};
    quantized.read_codes(0, result.codes.size(), result.codes.data());
    const std::span<const std::byte> scales = quantized.scales_of(0, layout_.rows());
    result.scales.assign(scales.begin(), scales.end());
    return result;
  }
  [[nodiscard]] double weighted_error() {
    const Doubles found = errors();
    double sum = 0;
    for (std::size_t i = 0; i < values_.size(); ++i) sum += static_cast<double>(weights_[i % columns_]) * found[i] * found[i];
    return sum;
  }

  std::vector<float> weights_ = std::vector<float>(columns_);  ///< by the column; some are 0
};

std::vector<LearnCase> cases_with_scales_of_groups() {
  std::vector<LearnCase> cases = learn_cases();
  std::erase_if(cases,
                [](const LearnCase& some) { return some.format->grid() == ScaleGrid::none || some.format->grid() == ScaleGrid::tensor; });
  return cases;
}

TEST_P(SearchedScalesLearnLaw, Scales_by_weighted_errors_have_the_same_bytes_everywhere) {
  const Stored expected = stored(*cpu::make_backend(*cpu::usable_kernels().back()), 1);
  const Stored found = stored(*GetParam().backend.backend, 3);
  EXPECT_EQ(found.scales, expected.scales);
  EXPECT_EQ(found.codes, expected.codes);
}

TEST_P(SearchedScalesLearnLaw, Scales_by_weighted_errors_lose_less_of_what_counts) {
  const float amax = quantized_->scaled_amax();
  quantized_->round_to_nearest(amax, {});
  const double by_plain_errors = weighted_error();
  quantized_->round_to_nearest(amax, weights_);
  const bool has_choice = formats::scale_rules(*spec_.format).candidates > 1;
  EXPECT_LE(weighted_error(), (has_choice ? 0.98 : 1.0) * by_plain_errors);
}

/// Formats whose scales an optimizer may move.
class MovedScalesLearnLaw : public LearnLaw {};

std::vector<LearnCase> cases_with_scales_that_move() {
  std::vector<LearnCase> cases = learn_cases();
  std::erase_if(cases, [](const LearnCase& some) { return !formats::why_scales_stay(test::default_spec(*some.format)).empty(); });
  return cases;
}

// What is stored is what was optimised: the errors of the stored codes and scales are those that the report speaks of.
TEST_P(MovedScalesLearnLaw, Moved_scales_are_stored_with_the_codes_that_belong_to_them) {
  const RankOptions rank{.min_k = 16, .max_k = 16};
  const learn::Basis basis = learn::leading_basis(*engine_, memory_, weight_, 16, learn::BasisMethod::automatic, 4, 0);
  const float amax = quantized_->scaled_amax();
  const Doubles nearest = errors();
  for (const Optimizer optimizer : {Optimizer::original, Optimizer::prodigy}) {
    for (const ScaleOptimization scales : {ScaleOptimization::iterative, ScaleOptimization::joint}) {
      quantized_->round_to_nearest(amax, {});
      LearnRecipe recipe{.method = LearnMethod::optimizer};
      recipe.rank = rank;
      recipe.optimizer = {.optimizer = optimizer, .schedule = {.iterations = 200}, .scales = scales};
      const LearnedLayer learned = learn::solve(*engine_, recipe, *quantized_, {});
      const Doubles found = errors();
      if (!learned.kept_nearest_because.empty()) {
        EXPECT_EQ(found, nearest) << learned.kept_nearest_because;
        continue;
      }
      EXPECT_NEAR(*learned.squared_error_ratio, squared_norm(found) / squared_norm(nearest), 1e-3);
      EXPECT_NEAR(*learned.loss_ratio, std::sqrt(squared_loss(found, basis) / squared_loss(nearest, basis)), 0.02);
      EXPECT_GT(learned.moved_scales, 0U) << name_of(learned.method);
    }
  }
}

TEST_P(LearnLaw, Negative_moments_that_damping_hides_are_refused_and_rounded_ones_are_not) {
  // Pairs of columns: eigenvalues of 1 + coupling and 1 - coupling.
  const auto learned_with = [&](float coupling) {
    std::vector<float> second(columns_ * columns_);
    for (std::size_t i = 0; i < columns_; ++i) {
      second[i * columns_ + i] = 1.0F;
      if (const std::size_t other = i ^ 1U; other < columns_) second[i * columns_ + other] = coupling;
    }
    LearnRecipe recipe{.method = LearnMethod::feedback};
    recipe.damping = 0.6;
    return learn::solve(*engine_, recipe, *quantized_, {.second = memory_.matrix_of(second.data(), columns_, columns_)});
  };
  EXPECT_EQ(learned_with(1.5F).kept_nearest_because, "its second moments are not positive definite");
  EXPECT_NE(learned_with(1.0F + 0x1p-8F).kept_nearest_because, "its second moments are not positive definite");
}

TEST_P(LearnLaw, Every_method_ends_where_it_is_told_to) {
  const std::vector<float> second = moments();
  const learn::Moments known{.second = memory_.matrix_of(second.data(), columns_, columns_)};
  for (const LearnMethod method : kLearnMethods) {
    if (method == LearnMethod::nearest) continue;
    int calls = 0;
    const learn::Checked checked(*engine_, [&] {
      if (++calls == 3) throw std::runtime_error("stop");
    });
    EXPECT_THROW(std::ignore = learn::solve(*engine_, {.method = method}, *quantized_, known), std::runtime_error) << name_of(method);
    EXPECT_EQ(calls, 3);
  }
}

TEST_P(LearnLaw, The_same_layer_gives_the_same_codes_again) {
  const std::vector<float> second = moments();
  const learn::Moments known{.second = memory_.matrix_of(second.data(), columns_, columns_)};
  for (const LearnMethod method : {LearnMethod::project, LearnMethod::feedback}) {
    std::vector<std::vector<std::byte>> found;
    for (int i = 0; i < 2; ++i) {
      quantized_->round_to_nearest(quantized_->scaled_amax(), {});
      LearnRecipe recipe{.method = method};
      recipe.rank.min_k = 8;
      std::ignore = learn::solve(*engine_, recipe, *quantized_, known);
      quantized_->read_codes(0, layout_.code_bytes(layout_.rows()), found.emplace_back(layout_.code_bytes(layout_.rows())).data());
    }
    EXPECT_EQ(found[0], found[1]);
  }
}

/// What is left of its error is to be seen in the directions that it has, whichever method, effort and loss.
TEST_P(LearnLaw, A_weight_of_few_directions_has_a_basis_of_as_many) {
  const std::vector<float> some = sample_values(rows_ * 3, 8);
  const std::vector<float> others = sample_values(columns_ * 3, 9);
  for (const std::uint64_t directions : {1U, 3U}) {
    const Doubles exact =
        product(Doubles(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(rows_ * directions)),
                Doubles(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(columns_ * directions)), rows_, directions, columns_);
    for (std::size_t i = 0; i < exact.size(); ++i) values_[i] = static_cast<float>(exact[i]);
    engine_->upload(values_.data(), weight_.data, values_.size() * sizeof(float));
    const float amax = codec::from_bits(engine_->largest(weight_.data, values_.size()));
    for (const LearnMethod method : kLearnMethods) {
      if (needs_of(method) != LearnNeeds::basis) continue;
      for (const Effort effort : {Effort::fast, Effort::usual, Effort::best}) {
        SCOPED_TRACE(testing::Message() << name_of(method) << ", " << directions << " directions, effort " << static_cast<int>(effort));
        quantized_->round_to_nearest(amax, {});
        LearnRecipe recipe{.method = method};
        recipe.effort = effort;
        recipe.optimizer.schedule.iterations = 40;
        const LearnedLayer learned = learn::solve(*engine_, recipe, *quantized_, {});
        EXPECT_EQ(learned.rank, directions);
        EXPECT_EQ(learned.wanted_rank, std::min(rows_, columns_));
        EXPECT_NEAR(learned.captured_energy, 1.0, 1e-3);
        if (!learned.loss_ratio) continue;
        EXPECT_LT(*learned.loss_ratio, 1.0);
        EXPECT_TRUE(std::isfinite(*learned.squared_error_ratio));
      }
    }
  }
}

std::string name_of_case(const testing::TestParamInfo<LearnCase>& test) {
  return identifier(std::string(test.param.format->name()) + "_" + test.param.backend.name);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, LearnLaw, ::testing::ValuesIn(learn_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Everywhere, FlipLaw, ::testing::ValuesIn(learn_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Everywhere, SearchedScalesLearnLaw, ::testing::ValuesIn(cases_with_scales_of_groups()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Everywhere, MovedScalesLearnLaw, ::testing::ValuesIn(cases_with_scales_that_move()), name_of_case);

}  // namespace
}  // namespace halftone::test
