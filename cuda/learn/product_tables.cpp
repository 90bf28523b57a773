#include "learn/product_tables.hpp"

#include <exception>
#include <system_error>

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
  // What fails here fails again with the first product, which says of which layer, or does without.
  const auto load_tables = [device](learn::Element factors) {
    try {
      load(device, factors);
    } catch (const std::exception&) {
      (void)cudaGetLastError();
    }
  };
  try {
    loading_[0] = std::jthread(load_tables, learn::Element::half);
    loading_[1] = std::jthread(load_tables, learn::Element::single);
  } catch (const std::system_error&) {
  }
}

}  // namespace halftone::cuda
