#pragma once

#include <cstdint>

#include <halftone/backend.hpp>
#include <halftone/learn.hpp>

namespace halftone::learn {

/// One of each for processors and for GPUs.
template <class T>
struct PerDevice {
  T processor;
  T gpu;

  [[nodiscard]] constexpr const T& of(DeviceKind device) const { return device == DeviceKind::gpu ? gpu : processor; }
};

/// A weight and the rank of a basis; what they have elements of.
struct Extent {
  std::uint64_t rows;
  std::uint64_t columns;
  std::uint64_t rank;

  [[nodiscard]] std::uint64_t weight() const { return rows * columns; }
  [[nodiscard]] std::uint64_t sides() const { return rows + columns; }
  [[nodiscard]] std::uint64_t moments() const { return columns * columns; }
};

/// Work on a layer, by kinds.
struct Workload {
  double products = 0;
  double elements = 0;
  double copies = 0;
  double waits = 0;
};

inline Workload& operator+=(Workload& a, const Workload& b) {
  a.products += b.products;
  a.elements += b.elements;
  a.copies += b.copies;
  a.waits += b.waits;
  return a;
}
[[nodiscard]] inline Workload operator*(double factor, const Workload& work) {
  return {factor * work.products, factor * work.elements, factor * work.copies, factor * work.waits};
}

/// Seconds of one of each kind of Workload: what a device takes (rates.hpp).
struct Rates {
  double product = 0;  ///< a multiplication within a large product of matrices
  double element = 0;  ///< rounding an element to its nearest level
  double copy = 0;     ///< passing an element of binary32 to the engine
  double wait = 0;     ///< asking a sum of few elements of the engine
};

[[nodiscard]] inline double seconds_of(const Workload& work, const Rates& rates) {
  return work.products * rates.product + work.elements * rates.element + work.copies * rates.copy + work.waits * rates.wait;
}

/// Bytes of a method that finds a basis, and then takes `rest` besides that.
[[nodiscard]] std::uint64_t bytes_with_basis(const Extent& extent, std::uint64_t rest);
/// Bytes of a method whose roundings are in view of the error in a basis.
[[nodiscard]] std::uint64_t bytes_of_projection(const LearnRecipe& recipe, const Extent& extent);

/// Finding the basis that `recipe` asks for.
[[nodiscard]] Workload basis_work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device);
/// The products of measuring a loss and taking its gradient.
[[nodiscard]] double slope_products(const Extent& extent);
/// `passes` roundings in view of the error in a basis.
[[nodiscard]] Workload projection_work(const Extent& extent, double passes, DeviceKind device);

}  // namespace halftone::learn
