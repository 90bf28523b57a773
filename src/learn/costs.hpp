#pragma once

#include <cstdint>

#include <halftone/backend.hpp>
#include <halftone/learn.hpp>

namespace halftone::learn {

/// A weight and the rank of a basis; what they have elements of.
struct Extent {
  std::uint64_t rows;
  std::uint64_t columns;
  std::uint64_t rank;

  [[nodiscard]] std::uint64_t weight() const { return rows * columns; }
  [[nodiscard]] std::uint64_t sides() const { return rows + columns; }
  [[nodiscard]] std::uint64_t moments() const { return columns * columns; }
};

/// Work on a layer, counted in what Rates (layer_work.hpp) are of.
struct Work {
  double products = 0;
  double elements = 0;
  double copies = 0;
  double waits = 0;
};

inline Work& operator+=(Work& a, const Work& b) {
  a.products += b.products;
  a.elements += b.elements;
  a.copies += b.copies;
  a.waits += b.waits;
  return a;
}
[[nodiscard]] inline Work operator*(double factor, const Work& work) {
  return {factor * work.products, factor * work.elements, factor * work.copies, factor * work.waits};
}

/// Bytes of a method that finds a basis, and then takes `rest` besides that.
[[nodiscard]] std::uint64_t bytes_with_basis(const Extent& extent, std::uint64_t rest);
/// Bytes of a method whose roundings are in view of the error in a basis.
[[nodiscard]] std::uint64_t bytes_of_projection(const LearnRecipe& recipe, const Extent& extent);

/// Finding the basis that `recipe` asks for.
[[nodiscard]] Work basis_work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device);
/// The products of measuring a loss and taking its gradient.
[[nodiscard]] double slope_products(const Extent& extent);
/// `passes` roundings in view of the error in a basis.
[[nodiscard]] Work projection_work(const Extent& extent, double passes, DeviceKind device);

}  // namespace halftone::learn
