#include "learn/weighted_search.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "base/checked.hpp"
#include "base/parallel.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::learn {
namespace {

using formats::AnyScale;
using formats::ScaleRules;

class Search {
 public:
  explicit Search(const WeightedSearch& search) : search_(search), rules_(formats::scale_rules(*search.spec.format)) {}

  /// Takes the elements of rows [row, row + height), columns [first, first + width) of the layout.
  void gather(std::uint64_t row, std::uint64_t height, std::uint64_t first, std::uint64_t width) {
    const formats::LayerLayout& layout = search_.layout;
    places_.clear();
    for (std::uint64_t r = row; r < std::min(row + height, layout.rows()); ++r) {
      for (std::uint64_t i = first; i < std::min(first + width, layout.columns()); ++i) {
        if (const std::uint64_t at = r * layout.columns() + i; at < layout.elements()) places_.push_back(at);
      }
    }
  }

  /// The best scale of the gathered elements.
  [[nodiscard]] AnyScale best() const {
    float amax = 0.0F;
    for (const std::uint64_t at : places_) amax = std::max(amax, codec::magnitude(search_.weight[at]));
    AnyScale best{};
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i < rules_.candidates; ++i) {
      const AnyScale scale = rules_.candidate(amax, search_.tensor_scale, i);
      const double error = error_of(rules_.operand(scale.stored, search_.tensor_scale));
      if (!(error < least)) continue;
      least = error;
      best = scale;
    }
    return best;
  }

  void encode(const AnyScale& scale) const {
    for (const std::uint64_t at : places_) {
      search_.levels[at] = search_.tables.level_of->level[static_cast<std::uint8_t>(rules_.encode(search_.weight[at], scale.encode))];
    }
  }

 private:
  [[nodiscard]] double error_of(float operand) const {
    const Levels& levels = *search_.tables.levels;
    double sum = 0;
    for (const std::uint64_t at : places_) {
      const float weight = search_.weight[at];
      const float value = operand > 0.0F ? levels.values[nearest_level(levels.thresholds, weight / operand)] * operand : 0.0F;
      const double error = static_cast<double>(value - weight);
      sum += static_cast<double>(search_.column_weights[at % search_.columns]) * error * error;
    }
    return sum;
  }

  const WeightedSearch& search_;
  const ScaleRules& rules_;
  std::vector<std::uint64_t> places_;
};

}  // namespace

void search_weighted(const WeightedSearch& given) {
  const formats::LayerLayout& layout = given.layout;
  const std::uint64_t width = layout.group_columns();
  const std::uint64_t height = layout.group_rows();
  const std::uint32_t scale_bytes = given.spec.format->storage().scale_bytes;
  base::parallel_for(base::ceil_div(layout.rows(), height), given.threads, [&](std::size_t band) {
    const std::uint64_t row = band * height;
    Search search(given);
    for (std::uint64_t first = 0; first < layout.columns(); first += width) {
      search.gather(row, height, first, width);
      const AnyScale best = search.best();
      search.encode(best);
      std::memcpy(given.scales + (layout.first_scale(row) + first / width) * scale_bytes, &best.stored, scale_bytes);
    }
  });
}

}  // namespace halftone::learn
