#include "small_weights_bench.hpp"

#include <algorithm>
#include <cstring>

#include "launch_table.hpp"
#include "runtime/graph.hpp"

namespace halftone::cuda {
namespace {

constexpr std::uint64_t kCount = 1000;
constexpr std::uint64_t kSide = 1024;
constexpr std::uint64_t kInBytes = 2 * kSide * kSide;  ///< of one

/// Small weights one behind another in device memory.
class SmallWeights {
 public:
  SmallWeights(const BenchTools& tools, const QuantSpec& spec, const std::vector<std::byte>& weights)
      : tools_(tools),
        spec_(spec),
        weights_(weights),
        distinct_(std::min(weights.size() / kInBytes, kCount)),
        shape_(BenchTools::shaped(spec, nullptr, Dtype::BF16, kSide, kSide)),
        code_bytes_(formats::LayerLayout(spec, shape_.rows, shape_.columns).code_bytes(shape_.rows)),
        scale_bytes_(BenchTools::scale_bytes(spec, shape_)),
        source_(tools.make(kCount * kInBytes)),
        codes_(tools.make(kCount * code_bytes_)),
        scales_(tools.make(kCount * scale_bytes_)),
        largest_(tools.make(sizeof(std::uint32_t))) {
    const cudaStream_t stream = tools.stream.get();
    for (std::uint64_t i = 0; i < kCount; ++i) {
      check(cudaMemcpyAsync(source_.data() + i * kInBytes, weights.data() + i % distinct_ * kInBytes, kInBytes, cudaMemcpyHostToDevice,
                            stream),
            "copy to the device");
    }
    check(cudaMemsetAsync(codes_.data(), 0xEE, kCount * code_bytes_, stream), "clear device memory");
    check(cudaMemsetAsync(largest_.data(), 0, sizeof(std::uint32_t), stream), "clear device memory");
  }

  /// Quantizes weight `i`.
  void quantize(std::uint64_t i, const Stream& stream) const {
    const QuantizeArgs args{.source = source_.data() + i * kInBytes,
                            .rows = shape_.rows,
                            .columns = shape_.columns,
                            .block_size = spec_.block_size,
                            .group_size = spec_.group_size,
                            .rotation_group = spec_.rotation_group,
                            .tensor_amax = 1.0F,
                            .codes = codes_.as<std::uint8_t>() + i * code_bytes_,
                            .scales = scales_.data() + i * scale_bytes_,
                            .largest = largest_.as<std::uint32_t>()};
    launches_of(*spec_.format).quantize[formats::float_index(Dtype::BF16)](args, stream.get());
  }

  /// Compares each kind of weight with the CPU's, and the others with the first of their kind.
  void require_equal() const {
    const auto codes = tools_.download<std::byte>(codes_, kCount * code_bytes_);
    const auto scales = tools_.download<std::byte>(scales_, kCount * scale_bytes_);
    const auto is = [](const std::byte* found, const std::byte* wanted, std::uint64_t n) {
      return n == 0 || std::memcmp(found, wanted, n) == 0;
    };
    std::vector<std::byte> cpu_codes(code_bytes_);
    std::vector<std::byte> cpu_scales(scale_bytes_);
    for (std::uint64_t i = 0; i < kCount; ++i) {
      const std::uint64_t first = i % distinct_;
      const std::byte* wanted_codes = codes.data() + first * code_bytes_;
      const std::byte* wanted_scales = scales.data() + first * scale_bytes_;
      if (i == first) {
        MatrixView weight = shape_;
        weight.data = weights_.data() + i * kInBytes;
        tools_.cpu->quantize(spec_, weight, 1.0F, {cpu_codes.data(), cpu_scales.data()});
        wanted_codes = cpu_codes.data();
        wanted_scales = cpu_scales.data();
      }
      BenchTools::require(is(codes.data() + i * code_bytes_, wanted_codes, code_bytes_) &&
                              is(scales.data() + i * scale_bytes_, wanted_scales, scale_bytes_),
                          "quantize-small", spec_.format->name(), Dtype::BF16);
    }
  }

  /// That must be read and written.
  [[nodiscard]] std::uint64_t bytes() const { return kCount * (kInBytes + code_bytes_ + scale_bytes_); }

 private:
  const BenchTools& tools_;
  QuantSpec spec_;
  const std::vector<std::byte>& weights_;
  std::uint64_t distinct_;
  MatrixView shape_;          ///< of one, without data
  std::uint64_t code_bytes_;  ///< of one
  std::uint64_t scale_bytes_;
  DeviceBuffer source_;
  DeviceBuffer codes_;
  DeviceBuffer scales_;
  DeviceBuffer largest_;
};

}  // namespace

void bench_small_weights(const BenchTools& tools, const FormatDescriptor& format, const std::vector<std::byte>& weights) {
  constexpr std::size_t n_streams = 8;
  if (weights.size() < kInBytes) return;
  const SmallWeights small(tools, BenchTools::spec_of(format), weights);
  const std::vector<Stream> streams(n_streams);
  const Graph graph(tools.stream, streams, [&] {
    for (std::uint64_t i = 0; i < kCount; ++i) small.quantize(i, streams[i % n_streams]);
  });
  graph.launch(tools.stream);
  small.require_equal();
  tools.report({"quantize-small", std::string(format.name()), "BF16", std::string(name_of(format.facts().code_dtype)),
                tools.time([&] { graph.launch(tools.stream); }), small.bytes()});
}

}  // namespace halftone::cuda
