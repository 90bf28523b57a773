#pragma once

#include <cstdint>

#include <halftone/learn.hpp>

namespace halftone::learn {

/// What a run is on: by it, bases come from eigenvectors or from products alone.
enum class Machine : std::uint8_t { processor, gpu };

/// Work on a layer, counted in what Rates are of.
struct Work {
  double products = 0;
  double elements = 0;
  double copies = 0;
  double waits = 0;
};

/// Seconds of one of each: what a machine takes (rates.hpp).
struct Rates {
  double product = 0;  ///< a multiplication within a large product of matrices
  double element = 0;  ///< rounding an element to its nearest level
  double copy = 0;     ///< passing an element of binary32 to the engine
  double wait = 0;     ///< asking a sum of few elements of the engine
};

/// Those of an H100, for a GPU without room for measuring: only how one is to another counts then.
inline constexpr Rates kUsualRates{.product = 5e-15, .element = 1e-11, .copy = 5e-10, .wait = 1e-5};

[[nodiscard]] inline double seconds_of(const Work& work, const Rates& rates) {
  return work.products * rates.product + work.elements * rates.element + work.copies * rates.copy + work.waits * rates.wait;
}

/// How much work choosing the codes of a rows × columns weight is.
[[nodiscard]] Work layer_work(const LearnRecipe& recipe, std::uint64_t rows, std::uint64_t columns, Machine machine);

}  // namespace halftone::learn
