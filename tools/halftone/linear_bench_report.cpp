#include "linear_bench_report.hpp"

#include <charconv>

#include "base/fail.hpp"

namespace halftone::tool {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  fail(ErrorKind::usage,
       "--shapes takes MxNxK, as in 8192x8192x8192,1x12288x4096 (rows of inputs, rows and columns of the weight), not '{}'", text);
}

std::uint64_t extent_at(const std::string& text, std::size_t& at, char end) {
  std::uint64_t value = 0;
  const char* first = text.data() + at;
  const auto [last, error] = std::from_chars(first, text.data() + text.size(), value);
  const bool ends = last == text.data() + text.size() ? end == ',' : *last == end;
  // Larger matrices fit no memory.
  if (error != std::errc() || !ends || value == 0 || value > 1 << 20) refuse(text);
  at = static_cast<std::size_t>(last - text.data()) + 1;
  return value;
}

}  // namespace

std::vector<ProductShape> parse_shapes(const std::string& text) {
  std::vector<ProductShape> shapes;
  for (std::size_t at = 0; at <= text.size();) {
    ProductShape shape;
    shape.m = extent_at(text, at, 'x');
    shape.n = extent_at(text, at, 'x');
    shape.k = extent_at(text, at, ',');
    shapes.push_back(shape);
  }
  return shapes;
}

void LinearBenchReport::add(const LinearTime& time) {
  const ProductShape& shape = time.shape;
  rows_.push_back({{"format", time.format},
                   {"quantized_inputs", time.quantized_inputs},
                   {"method", time.method},
                   {"m", shape.m},
                   {"n", shape.n},
                   {"k", shape.k},
                   {"seconds", time.seconds},
                   {"product_seconds", time.product_seconds},
                   {"tflops", time.teraflops(time.seconds)},
                   {"product_tflops", time.teraflops(time.product_seconds)},
                   {"largest_error", time.largest_error}});
  if (json_) return;
  print("{:>5} x {:>5} x {:>5}  {:<13}{:<11} {:9.1f} us {:7.0f} TFLOP/s, product {:9.1f} us {:7.0f} TFLOP/s, error {:.1e}  {}\n", shape.m,
        shape.n, shape.k, time.format, time.quantized_inputs ? "quantized" : "plain", time.seconds * 1e6, time.teraflops(time.seconds),
        time.product_seconds * 1e6, time.teraflops(time.product_seconds), time.largest_error, time.method);
}

void LinearBenchReport::finish() const {
  if (json_) print_json({{"linear", rows_}});
}

}  // namespace halftone::tool
