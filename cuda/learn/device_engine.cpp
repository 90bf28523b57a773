#include "learn/device_engine.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/fail.hpp"
#include "launch_table.hpp"
#include "learn/factors.hpp"
#include "learn/half_loop.hpp"
#include "learn/matrix_launches.hpp"
#include "learn/optimizer_launches.hpp"
#include "learn/products.hpp"
#include "learn/scale_search.hpp"
#include "learn/small_factors.hpp"
#include "learn/weighted_search.hpp"
#include "runtime/device_buffer.hpp"
#include "runtime/event.hpp"
#include "runtime/pinned_buffer.hpp"
#include "runtime/stream.hpp"

namespace halftone::cuda {
namespace {

using learn::Flips;
using learn::Grid;
using learn::Matrix;
using learn::Panel;
using learn::Product;

class DeviceMemory : public learn::Buffer {
 public:
  DeviceMemory(std::uint64_t bytes, cudaStream_t stream, cudaMemPool_t pool) : buffer_(bytes, stream, pool) {}
  [[nodiscard]] void* data() const noexcept override { return buffer_.data(); }

 private:
  DeviceBuffer buffer_;
};

/// Copies between pageable memory and a device pass through page-locked memory, by turns through two pieces of this
/// size, which stay in the cache of a core.
constexpr std::size_t kStagingBytes = 1 << 20;

/// The largest of what is read as a few numbers.
constexpr std::size_t kSmallBytes = learn::kSums * sizeof(double);
/// How long a thread waits awake for them.
constexpr std::chrono::microseconds kSpinTime{500};

}  // namespace

/// An engine on one GPU: a stream, and what the libraries keep for it.
class EnginePool::DeviceEngine : public learn::Engine {
 public:
  /// On the current device.  Its matrices come from `pool`.
  explicit DeviceEngine(cudaMemPool_t pool)
      : pool_(pool),
        products_(stream_.get()),
        sums_((kSumBlocks + learn::kSums + 1) * sizeof(double), stream_.get()),
        bins_((learn::kGainBins + 1) * sizeof(std::int64_t), stream_.get()),
        staging_(2 * kStagingBytes),
        small_(kSmallBytes) {
    clear(sums_.data(), sums_.size());
  }

  [[nodiscard]] std::unique_ptr<learn::Buffer> allocate(std::uint64_t bytes) override {
    return std::make_unique<DeviceMemory>(bytes, stream_.get(), pool_);
  }
  void upload(const void* host, void* device, std::uint64_t bytes) override {
    const auto* from = static_cast<const std::byte*>(host);
    auto* to = static_cast<std::byte*>(device);
    unsigned half = 0;
    for (std::uint64_t at = 0; at < bytes; at += kStagingBytes, half = 1 - half) {
      const std::uint64_t n = std::min<std::uint64_t>(kStagingBytes, bytes - at);
      std::byte* staging = staging_.data() + half * kStagingBytes;
      copied_[half].spin(kSpinTime);
      std::memcpy(staging, from + at, n);
      check(cudaMemcpyAsync(to + at, staging, n, cudaMemcpyHostToDevice, stream_.get()), "copy to the device");
      copied_[half].record(stream_.get());
    }
  }
  void download(const void* device, void* host, std::uint64_t bytes) override {
    const auto* from = static_cast<const std::byte*>(device);
    auto* to = static_cast<std::byte*>(host);
    const auto begin = [&](std::uint64_t at) {
      const std::uint64_t half = at / kStagingBytes % 2;
      check(cudaMemcpyAsync(staging_.data() + half * kStagingBytes, from + at, std::min<std::uint64_t>(kStagingBytes, bytes - at),
                            cudaMemcpyDeviceToHost, stream_.get()),
            "copy from the device");
      copied_[half].record(stream_.get());
    };
    if (bytes != 0) begin(0);
    for (std::uint64_t at = 0; at < bytes; at += kStagingBytes) {
      if (at + kStagingBytes < bytes) begin(at + kStagingBytes);
      const std::uint64_t half = at / kStagingBytes % 2;
      copied_[half].spin(kSpinTime);
      std::memcpy(to + at, staging_.data() + half * kStagingBytes, std::min<std::uint64_t>(kStagingBytes, bytes - at));
    }
  }
  void copy(const void* from, void* to, std::uint64_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_.get()), "copy on the device");
  }
  void clear(void* data, std::uint64_t bytes) override { check(cudaMemsetAsync(data, 0, bytes, stream_.get()), "clear device memory"); }

  void load(Dtype dtype, const std::byte* host, std::uint64_t n, float* out) override {
    if (dtype == Dtype::F32) return upload(host, out, n * sizeof(float));
    const std::uint64_t bytes = n * bits_of(dtype) / 8;
    const DeviceBuffer raw(bytes, stream_.get(), pool_);
    upload(host, raw.data(), bytes);
    cast_launch(dtype, Dtype::F32)(raw.data(), n, out, stream_.get());
  }
  [[nodiscard]] std::uint32_t largest(const float* data, std::uint64_t n) override {
    clear(counter(), sizeof(std::uint32_t));
    max_magnitude_launch(Dtype::F32)(data, n, counter<std::uint32_t>(), stream_.get());
    std::uint32_t bits = 0;
    read_small(counter(), &bits, sizeof bits);
    return bits;
  }
  void rotate(float* data, std::uint64_t n, std::uint32_t group) override {
    rotate_launch(Dtype::F32)(data, n, group, data, stream_.get());
  }
  void quantize(const QuantSpec& spec, const Matrix& weight, float tensor_amax, std::uint8_t* codes, std::byte* scales) override {
    const QuantizeArgs args{.source = weight.data,
                            .rows = weight.rows,
                            .columns = weight.columns,
                            .block_size = spec.block_size,
                            .group_size = spec.group_size,
                            .search = spec.scales == ScaleMethod::search && spec.format->grid() != ScaleGrid::tensor,
                            .tensor_amax = tensor_amax,
                            .codes = codes,
                            .scales = scales,
                            .largest = counter<std::uint32_t>()};
    launches_of(*spec.format).quantize[formats::float_index(Dtype::F32)](args, stream_.get());
  }
  void search_scales(const learn::WeightedSearch& search) override {
    if (launch_search_scales(search, stream_.get())) return;
    fail(ErrorKind::internal, "the groups of {} have no scales to search", search.spec.format->name());
  }
  void unpack(const learn::PackedCodes& codes, const learn::CodeTables& tables, std::uint8_t* levels) override {
    launch_unpack(codes, tables, levels, stream_.get());
  }
  [[nodiscard]] std::uint64_t pack(const std::uint8_t* levels, const learn::CodeTables& tables, const learn::PackedCodes& codes) override {
    clear(counter(), sizeof(unsigned long long));
    launch_pack(levels, tables, codes, counter<unsigned long long>(), stream_.get());
    unsigned long long changed = 0;
    read_small(counter(), &changed, sizeof changed);
    return changed;
  }
  void scatter_levels(const std::uint8_t* in, std::uint64_t rows, std::uint64_t columns, const std::uint32_t* order,
                      std::uint8_t* out) override {
    launch_scatter_levels(in, rows, columns, order, out, stream_.get());
  }
  void diagonal(const Matrix& a, float* host) override {
    const DeviceBuffer values(a.rows * sizeof(float), stream_.get());
    launch_diagonal(a, values.as<float>(), stream_.get());
    download(values.data(), host, a.rows * sizeof(float));
  }

  [[nodiscard]] bool prefers_products(std::uint64_t rows) const noexcept override { return rows > kSmallRows; }
  [[nodiscard]] learn::Element factor_element() const noexcept override { return learn::Element::half; }
  void multiply(const Product& product) override {
    look_for_stop();
    products_.multiply(product);
  }
  [[nodiscard]] bool cholesky(const Matrix& a) override {
    if (a.rows > kSmallRows) return factors().cholesky(a);
    launch_small_cholesky(a, counter<std::uint32_t>(), stream_.get());
    std::uint32_t failed = 0;
    read_small(counter(), &failed, sizeof failed);
    return failed == 0;
  }
  [[nodiscard]] bool invert_ridged_factor(const Matrix& a, float first_ridge) override {
    if (a.rows > kSmallRows) return false;
    launch_small_ridged_inverse(a, first_ridge, stream_.get());
    return true;
  }
  void invert_lower(const Matrix& a) override {
    if (a.rows <= kSmallRows) return launch_small_inverse(a, stream_.get());
    factors().invert_lower(a);
    launch_clear_upper(a, stream_.get());
  }
  void eigenvectors(const Matrix& a) override {
    if (a.rows <= kSmallRows) return launch_small_eigenvectors(a, stream_.get());
    factors().eigenvectors(a);
  }

  void convert(const Matrix& in, float factor, const Matrix& out, float added) override {
    launch_convert(in, factor, out, added, stream_.get());
  }
  void fill_signs(const Matrix& out, std::uint64_t seed) override { launch_fill_signs(out, seed, stream_.get()); }
  void gather_columns(const Matrix& in, const std::uint32_t* columns, const Matrix& out) override {
    launch_gather_columns(in, columns, out, stream_.get());
  }
  void gather_moments(const Matrix& in, const std::uint32_t* order, float factor, float damping, const Matrix& out) override {
    launch_gather_moments(in, order, factor, damping, out, stream_.get());
  }
  void unit_upper(const Matrix& lower, const Matrix& out) override { launch_unit_upper(lower, out, stream_.get()); }
  void add_scaled(const Matrix& a, float factor, const Matrix& b) override { launch_add_scaled(a, factor, b, stream_.get()); }
  void add_to_diagonal(const Matrix& a, float value) override { launch_add_to_diagonal(a, value, stream_.get()); }
  void transpose(const Matrix& in, const Matrix& out) override { launch_transpose(in, out, stream_.get()); }
  void add_ridge(const Matrix& a, float ridge) override { launch_add_ridge(a, ridge, sum(0), stream_.get()); }
  void row_norms(const Matrix& a, float* out) override { launch_row_norms(a, out, stream_.get()); }
  void add_up(const Matrix& a, const Matrix& b, unsigned place) override { launch_inner(a, b, sum_scratch(), sum(place), stream_.get()); }
  void read_sums(std::span<double> out) override { read_small(sum(0), out.data(), out.size_bytes()); }

  void round(const Matrix& target, const Matrix& shift, const Matrix& weight, const Grid& grid, std::uint8_t* levels,
             const Matrix& errors) override {
    launch_round(target, shift, weight, grid, levels, errors, stream_.get());
  }
  void errors_of(const std::uint8_t* levels, const Matrix& weight, const Grid& grid, const Matrix& errors) override {
    launch_errors_of(levels, weight, grid, errors, stream_.get());
  }
  void feed_back(const Panel& panel) override { launch_feed_back(panel, stream_.get()); }
  void sweep(const Panel& panel) override { launch_sweep(panel, stream_.get()); }
  void flip(const Flips& flips, const learn::FlipLimit& limit, unsigned place) override {
    const FlipScratch scratch{bins_.as<std::int64_t>(), reinterpret_cast<std::uint32_t*>(bins_.as<std::int64_t>() + learn::kGainBins),
                              sum_scratch()};
    launch_flip(flips, limit, scratch, sum(place), stream_.get());
  }

  void advance(const learn::OptimizerRun& run, const Matrix& measured) override { launch_advance(run, measured, stream_.get()); }
  void optimizer_step(const learn::OptimizerRun& run) override { launch_optimizer_step(run, stream_.get()); }
  void errors_at(const Matrix& first, const float* offsets, const Grid& grid, const Matrix& errors) override {
    launch_errors_at(first, offsets, grid, errors, stream_.get());
  }
  void code_sums(const std::uint8_t* levels, const float* offsets, const Matrix& a, const Grid& grid, std::uint64_t width, float* dots,
                 float* squares) override {
    launch_code_sums(levels, offsets, a, grid, width, dots, squares, stream_.get());
  }
  [[nodiscard]] std::unique_ptr<learn::OptimizerLoop> optimizer_loop(const learn::OptimizerRun& run, const learn::Basis& basis) override {
    if (!HalfLoop::serves(run)) return {};
    if (!half_products_) half_products_ = std::make_unique<HalfProducts>(stream_.get());
    const float error = codec::from_bits(largest(run.first_errors, run.weight.rows * run.weight.columns));
    const float scale = codec::from_bits(largest(run.grid.scales, run.weight.rows * run.grid.groups));
    return std::make_unique<HalfLoop>(*half_products_, run, basis, HalfLoop::LargestValues{error, scale}, stream_, pool_);
  }

 private:
  /// Most layers need none, and the library takes long to start.
  [[nodiscard]] Factors& factors() {
    if (!factors_) factors_ = std::make_unique<Factors>(stream_.get());
    return *factors_;
  }
  /// Room for one number.
  template <class T = void>
  [[nodiscard]] T* counter() const noexcept {
    return reinterpret_cast<T*>(bins_.data());
  }
  [[nodiscard]] SumScratch sum_scratch() const noexcept {
    return {sums_.as<double>(), reinterpret_cast<std::uint32_t*>(sum(learn::kSums))};
  }
  [[nodiscard]] double* sum(unsigned place) const noexcept { return sums_.as<double>() + kSumBlocks + place; }

  /// Reads a few numbers.  Whoever asks goes on at once when they are there: a thread that sleeps is woken some ten
  /// microseconds later, which is as long as many a step takes.
  void read_small(const void* device, void* host, std::size_t bytes) {
    check(cudaMemcpyAsync(small_.data(), device, bytes, cudaMemcpyDeviceToHost, stream_.get()), "copy from the device");
    read_.record(stream_.get());
    read_.spin(kSpinTime);
    std::memcpy(host, small_.data(), bytes);
  }

  cudaMemPool_t pool_;
  Stream stream_;
  Products products_;
  std::unique_ptr<HalfProducts> half_products_;  ///< once it is needed
  std::unique_ptr<Factors> factors_;
  DeviceBuffer sums_;  ///< parts of a sum, sums, and how many parts there are
  DeviceBuffer bins_;
  PinnedBuffer staging_;
  PinnedBuffer small_;
  Event copied_[2];
  Event read_;
};

namespace {

/// What the libraries of an engine keep for themselves: workspaces of products and factors.
constexpr std::uint64_t kEngineBytes = 128 << 20;

}  // namespace

EnginePool::EnginePool(int device, std::uint64_t bytes, std::function<void()> returned)
    : device_(device), bytes_(bytes), returned_(std::move(returned)), memory_(device) {}

EnginePool::~EnginePool() = default;

std::uint64_t EnginePool::bytes() const noexcept { return bytes_ - std::min(bytes_, kEngineBytes); }

std::size_t EnginePool::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

bool EnginePool::reserve(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (in_use_ == kMost || bytes > this->bytes() || bytes_in_use_ + bytes + kEngineBytes > bytes_) return false;
  ++in_use_;
  bytes_in_use_ += bytes + kEngineBytes;
  return true;
}

std::shared_ptr<learn::Engine> EnginePool::take(std::uint64_t bytes) {
  std::unique_ptr<DeviceEngine> engine;
  try {
    check(cudaSetDevice(device_), "choose a device");
    engine = find_or_make();
  } catch (...) {
    give_back(nullptr, bytes);  // who waits for an engine may try, and hear why there is none
    throw;
  }
  return {engine.release(),
          [this, bytes](learn::Engine* back) { give_back(std::unique_ptr<DeviceEngine>(static_cast<DeviceEngine*>(back)), bytes); }};
}

std::unique_ptr<EnginePool::DeviceEngine> EnginePool::find_or_make() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<DeviceEngine> engine = std::move(free_.back());
      free_.pop_back();
      return engine;
    }
    if (!std::exchange(has_made_one_, true)) tables_.emplace(device_);
  }
  return std::make_unique<DeviceEngine>(memory_.get());
}

void EnginePool::give_back(std::unique_ptr<DeviceEngine> engine, std::uint64_t bytes) {
  std::optional<ProductTables> tables;  // whose end may take a while: others need not wait for it
  {
    const std::lock_guard lock(mutex_);
    tables.swap(tables_);
    --in_use_;
    bytes_in_use_ -= bytes + kEngineBytes;
    if (engine) free_.push_back(std::move(engine));
  }
  returned_();
}

}  // namespace halftone::cuda
