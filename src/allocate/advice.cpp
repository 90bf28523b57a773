#include "allocate/advice.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/decibels.hpp"
#include "base/text.hpp"

namespace halftone::allocate {
namespace {

/// A gain below this is not worth another conversion.
constexpr double kWorthwhileDb = 0.3;
/// Another format is named where it halves the error at least.
constexpr double kHalvedDb = 6.0;
/// A format whose error is as large as this is no use to a layer.
constexpr double kPoorDb = 15.0;
/// More clipped weights than this are named as the cause.
constexpr double kMuchClipped = 1e-3;
/// Errors that differ by less are those of the same codes, summed in another way.
constexpr double kSameDb = 0.01;
/// A layer that is this much better than most of its format at most is one of them.
constexpr double kTypicalDb = 1.0;

/// Sizes within this part of each other count as one.
constexpr double kSameSize = 0.02;

bool is_same_size(std::uint64_t a, std::uint64_t b) {
  const auto larger = static_cast<double>(std::max(a, b));
  return larger - static_cast<double>(std::min(a, b)) < kSameSize * larger;
}

std::string size_ratio(std::uint64_t bytes, std::uint64_t now) {
  const double ratio = static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(now, 1));
  return is_same_size(bytes, now) ? std::string("the same size") : fmt::format("{:.2f} times the size", ratio);
}

double or_lowest(double db) { return std::isnan(db) ? -std::numeric_limits<double>::infinity() : db; }

/// The sentences of advice for one layer.
class Adviser {
 public:
  Adviser(const EvaluatedLayer& layer, double typical_db)
      : layer_(layer), own_(or_lowest(layer.judged_db())), typical_db_(typical_db), by_output_(layer.output_error().has_value()) {
    for (const Alternative& alternative : layer.alternatives) {
      if (alternative.format == layer.format && !alternative.search) nearest_ = &alternative;
    }
  }

  std::string advice() {
    if (!std::isfinite(layer_.figures.noise)) return "Convert it anew: it holds values that are no numbers; halftone verify says which.";
    if (layer_.clipped_share() > kMuchClipped) add(fmt::format("{:.2f} % of its weights are clipped.", 100 * layer_.clipped_share()));
    if (was_learned_by_weights()) {
      add(
          fmt::format("Its weights are further off than those of rounding to nearest ({}), as with learned rounding, which gains in "
                      "outputs: judge it with --stats or --activations.",
                      text(*nearest_)));
      return text_;
    }
    name_better_rounding();
    name_better_format();
    if (own_ > typical_db_ - kTypicalDb) add("It is no worse than most layers of its format.");
    return text_;
  }

 private:
  void add(const std::string& sentence) { text_ += (text_.empty() ? "" : " ") + sentence; }

  [[nodiscard]] double db_of(const Alternative& alternative) const {
    return or_lowest(by_output_ && alternative.output_error ? -20 * std::log10(*alternative.output_error) : alternative.sqnr_db);
  }
  [[nodiscard]] std::string text(const Alternative& alternative) const {
    return base::decibels(db_of(alternative), 1) + (by_output_ ? " of outputs" : "");
  }
  /// Weights alone do not tell whether the codes of a layer were chosen for its outputs.
  [[nodiscard]] bool was_learned_by_weights() const { return !by_output_ && nearest_ != nullptr && db_of(*nearest_) > own_ + kSameDb; }

  void name_better_rounding() {
    if (nearest_ != nullptr && db_of(*nearest_) > own_ + kWorthwhileDb) {
      add(fmt::format("Use --rounding nearest: {} in the same size.", text(*nearest_)));
    }
    for (const Alternative& alternative : layer_.alternatives) {
      if (!alternative.search || alternative.format != layer_.format || db_of(alternative) < own_ + kWorthwhileDb) continue;
      add(fmt::format("Use --scales search: {} in the same size.", text(alternative)));
    }
    if (by_output_ && nearest_ != nullptr && std::abs(db_of(*nearest_) - own_) < kSameDb) {
      add("Its codes are the nearest: try --rounding learned with --stats.");
    }
  }

  void name_better_format() {
    const bool has_advice = has_conversion_advice();
    if (const Alternative* better = smallest(std::max(own_ + kHalvedDb, kPoorDb))) {
      add(fmt::format("{} {} for it: {} in {}.", has_advice ? "Or use" : "Use", better->format, text(*better),
                      size_ratio(better->bytes, layer_.bytes)));
    } else if (own_ < kPoorDb || own_ < typical_db_ - kHalvedDb) {
      add(fmt::format("Keep this layer as it was, in {}: no other format halves its error.", base::human_bytes(layer_.source_bytes)));
    } else if (!has_advice) {
      add("Leave it: no format that was tried halves its error.");
    }
  }

  [[nodiscard]] bool has_conversion_advice() const { return text_.find("--") != std::string::npos; }

  /// The alternative in another format with the fewest bytes that reaches `db`, of those of its size the best; or null.
  [[nodiscard]] const Alternative* smallest(double db) const {
    std::uint64_t fewest = std::numeric_limits<std::uint64_t>::max();
    const auto reaches = [&](const Alternative& alternative) { return alternative.format != layer_.format && db_of(alternative) >= db; };
    for (const Alternative& alternative : layer_.alternatives) {
      if (reaches(alternative)) fewest = std::min(fewest, alternative.bytes);
    }
    const Alternative* best = nullptr;
    for (const Alternative& alternative : layer_.alternatives) {
      if (!reaches(alternative) || !is_same_size(alternative.bytes, fewest)) continue;
      if (best == nullptr || db_of(alternative) > db_of(*best)) best = &alternative;
    }
    return best;
  }

  const EvaluatedLayer& layer_;
  double own_;
  double typical_db_;
  bool by_output_;
  const Alternative* nearest_ = nullptr;  ///< the layer's own format, rounded to nearest with plain scales
  std::string text_;
};

}  // namespace

std::map<std::string, double> typical(const Evaluation& evaluation) {
  std::map<std::string, std::vector<double>> by_format;
  for (const EvaluatedLayer& layer : evaluation.layers) {
    if (!layer.is_identical) by_format[layer.format].push_back(or_lowest(layer.judged_db()));
  }
  std::map<std::string, double> medians;
  for (auto& [format, values] : by_format) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    medians[format] = *middle;
  }
  return medians;
}

std::string advice_for(const EvaluatedLayer& layer, double typical_db) { return Adviser(layer, typical_db).advice(); }

}  // namespace halftone::allocate
