#pragma once

#include <array>
#include <thread>

namespace halftone::cuda {

/// The tables that cuBLASLt chooses algorithms from.  It loads those of a type of factors with the first product of them, in
/// some 0.05 s each: threads ask for such products before there are any.
class ProductTables {
 public:
  /// Begins to load, for products on `device`.
  explicit ProductTables(int device);

 private:
  std::array<std::jthread, 2> loading_;
};

}  // namespace halftone::cuda
