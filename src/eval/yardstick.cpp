#include "eval/yardstick.hpp"

#include <algorithm>
#include <numeric>

#include <halftone/codec/hd.hpp>

#include "base/checked.hpp"

namespace halftone::eval {

Yardstick::Yardstick(const Backend& backend, const QuantSpec& spec, std::uint64_t columns, float amax)
    : backend_(backend), spec_(spec), columns_(columns), amax_(amax) {
  const formats::LayerLayout layout(spec_, 1, columns);
  row_multiple_ =
      spec_.format->storage().flat ? spec_.block_size / std::gcd<std::uint64_t>(spec_.block_size, columns) : layout.group_rows();
}

bool Yardstick::needs_amax(const QuantSpec& spec) { return formats::LayerLayout(spec, 1, 1).measures_first(); }

void Yardstick::restore(const float* weight, std::uint64_t rows, float* out) {
  if (needs_amax(spec_) && amax_ == 0) return static_cast<void>(std::fill_n(out, rows * columns_, 0.0F));
  if (!spec_.format->storage().flat) return restore_whole(weight, rows, columns_, out);
  const std::uint64_t block = spec_.block_size;
  const std::uint64_t n = rows * columns_;
  const std::uint64_t blocks = base::ceil_div(n, block);
  if (blocks * block == n) return restore_whole(weight, blocks, block, out);
  padded_.assign(blocks * block, 0.0F);  // the last block is filled up with zeros
  std::copy_n(weight, n, padded_.begin());
  restore_whole(padded_.data(), blocks, block, padded_.data());
  std::copy_n(padded_.begin(), n, out);
}

bool Yardstick::holds() const noexcept {
  return largest_ < codec::kInfinityBits && codec::from_bits(largest_) <= spec_.format->facts().largest_weight;
}

void Yardstick::restore_whole(const float* weight, std::uint64_t rows, std::uint64_t columns, float* out) {
  const formats::LayerLayout layout(spec_, rows, columns);
  codes_.resize(layout.code_bytes(rows));
  scales_.resize(layout.scale_bytes(rows));
  const MatrixView values{reinterpret_cast<const std::byte*>(weight), Dtype::F32, rows, columns};
  largest_ = std::max(largest_, backend_.quantize(spec_, values, amax_, {codes_.data(), scales_.data()}));
  const MatrixView codes{codes_.data(), spec_.format->facts().code_dtype, rows, columns};
  backend_.dequantize(spec_, codes, scales_.empty() ? nullptr : scales_.data(),
                      needs_amax(spec_) ? tensor_scale(*spec_.format, amax_) : 1.0F, out);
}

}  // namespace halftone::eval
