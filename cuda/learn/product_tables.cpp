#include "learn/product_tables.hpp"

#include <exception>

#include "learn/products.hpp"
#include "runtime/check.hpp"
#include "runtime/stream.hpp"

namespace halftone::cuda {
namespace {

void load(int device, learn::Element factors) {
  check(cudaSetDevice(device), "choose a device");
  const Stream stream;
  Products products(stream.get());
  constexpr std::uint64_t side = 1024;
  const learn::Matrix factor{.rows = side, .columns = side, .stride = side, .element = factors};
  products.choose({.a = factor, .b = factor, .c = {.rows = side, .columns = side, .stride = side}});
}

}  // namespace

ProductTables::ProductTables(int device) {
  const auto start = [device](learn::Element factors) {
    return std::jthread([device, factors] {
      try {
        load(device, factors);
      } catch (const std::exception&) {
        (void)cudaGetLastError();  // the first product fails in the same way, and says of which layer
      }
    });
  };
  loading_ = {start(learn::Element::half), start(learn::Element::single)};
}

}  // namespace halftone::cuda
