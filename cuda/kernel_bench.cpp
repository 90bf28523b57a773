#include "kernel_bench.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <halftone/codec/half.hpp>

#include "base/fail.hpp"
#include "cpu/cpu_backend.hpp"
#include "formats/layer_layout.hpp"
#include "launch_table.hpp"
#include "runtime/device_buffer.hpp"
#include "runtime/event.hpp"
#include "runtime/graph.hpp"
#include "runtime/stream.hpp"

namespace halftone::cuda {
namespace {

constexpr std::uint64_t kGuardBytes = 256;

/// `n` weights of a bell-like distribution, the same on every run.
std::vector<float> sample_weights(std::uint64_t n) {
  std::vector<float> values(n);
  std::uint64_t state = 0x9E37'79B9'7F4A'7C15U;
  for (float& value : values) {
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      sum += static_cast<float>(state >> 40) * 0x1p-24F - 0.5F;
    }
    value = sum * 0.03F;
  }
  return values;
}

class KernelBench {
 public:
  KernelBench(const KernelBenchOptions& options, const std::function<void(const KernelTime&)>& report)
      : options_(options), report_(report), cpu_(cpu::make_backend()), n_(options.rows * options.columns) {}

  void run() {
    copy();
    const std::vector<float> values = sample_weights(n_);
    rotated_ = make(n_ * sizeof(float));
    for (const Dtype source : {Dtype::BF16, Dtype::F16, Dtype::F32}) {
      host_source_.resize(n_ * bits_of(source) / 8);
      cpu_->from_float(values.data(), n_, source, host_source_.data());
      source_ = upload(host_source_);
      if (source == Dtype::BF16) bf16_source_ = host_source_;
      max_magnitude(source);
      for (const FormatDescriptor* format : served_formats()) quantize_and_back(*format, source);
    }
    for (const Dtype target : {Dtype::BF16, Dtype::F16}) cast(target);
    for (const FormatDescriptor* format : served_formats()) quantize_small(*format);
  }

 private:
  [[nodiscard]] DeviceBuffer make(std::uint64_t n_bytes) const { return {n_bytes + kGuardBytes, stream_.get()}; }

  [[nodiscard]] DeviceBuffer upload(const std::vector<std::byte>& bytes) const {
    DeviceBuffer buffer = make(bytes.size());
    check(cudaMemcpyAsync(buffer.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream_.get()), "copy to the device");
    stream_.synchronize();
    return buffer;
  }

  template <class T>
  [[nodiscard]] std::vector<T> download(const DeviceBuffer& buffer, std::uint64_t n) const {
    std::vector<T> values(n);
    check(cudaMemcpyAsync(values.data(), buffer.data(), n * sizeof(T), cudaMemcpyDeviceToHost, stream_.get()), "copy from the device");
    stream_.synchronize();
    return values;
  }

  /// The median time of one call of `launch`, after two that are not counted.
  template <class Launch>
  [[nodiscard]] double time(const Launch& launch) const {
    launch();
    launch();
    std::vector<double> seconds;
    Event begin;
    Event end;
    for (int i = 0; i < options_.repeats; ++i) {
      begin.record(stream_.get());
      launch();
      end.record(stream_.get());
      end.synchronize();
      seconds.push_back(end.seconds_since(begin));
    }
    std::nth_element(seconds.begin(), seconds.begin() + options_.repeats / 2, seconds.end());
    return seconds[static_cast<std::size_t>(options_.repeats / 2)];
  }

  static void require(bool equal, std::string_view kernel, std::string_view format, Dtype dtype) {
    if (!equal)
      fail(ErrorKind::internal, "the kernel {} {} differs from the CPU for {}; nothing was timed", kernel, format, name_of(dtype));
  }

  void copy() {
    const std::uint64_t n_bytes = n_ * 2;
    const DeviceBuffer from = make(n_bytes);
    const DeviceBuffer to = make(n_bytes);
    check(cudaMemsetAsync(from.data(), 0x3C, n_bytes, stream_.get()), "clear device memory");
    const double seconds = time(
        [&] { check(cudaMemcpyAsync(to.data(), from.data(), n_bytes, cudaMemcpyDeviceToDevice, stream_.get()), "copy on the device"); });
    report_({"copy", "", "BF16", "BF16", seconds, 2 * n_bytes});
  }

  void max_magnitude(Dtype source) {
    const DeviceBuffer largest = make(sizeof(std::uint32_t));
    check(cudaMemsetAsync(largest.data(), 0, sizeof(std::uint32_t), stream_.get()), "clear device memory");
    const auto launch = [&] { max_magnitude_launch(source)(source_.data(), n_, largest.as<std::uint32_t>(), stream_.get()); };
    launch();
    amax_ = cpu_->max_magnitude({host_source_.data(), source, options_.rows, options_.columns});
    require(download<std::uint32_t>(largest, 1)[0] == amax_, "max_magnitude", "", source);
    report_({"max_magnitude", "", std::string(name_of(source)), "", time(launch), host_source_.size()});
  }

  [[nodiscard]] static std::vector<const FormatDescriptor*> served_formats() {
    std::vector<const FormatDescriptor*> formats = all_formats();
    std::erase_if(formats, [](const FormatDescriptor* format) { return launches_of(*format).quantize.front() == nullptr; });
    return formats;
  }

  /// A format as the benchmark runs it: with its first block size, rotation group and group size.
  [[nodiscard]] static QuantSpec spec_of(const FormatDescriptor& format) {
    const auto& sizes = format.facts().block_sizes;
    const auto& rotations = format.facts().rotation_groups;
    const auto& groups = format.facts().group_sizes;
    return {.format = &format,
            .block_size = sizes.empty() ? 0 : sizes.front(),
            .rotation_group = rotations.empty() ? 0 : rotations.front(),
            .group_size = groups.empty() ? 0 : groups.front()};
  }

  /// The weight as rows of the format's own width: a flat one has a block in each.
  [[nodiscard]] static MatrixView shaped(const QuantSpec& spec, const std::byte* data, Dtype dtype, std::uint64_t rows,
                                         std::uint64_t columns) {
    const formats::LayerLayout layout(spec, rows, columns);
    return {data, dtype, layout.rows(), layout.columns()};
  }

  void quantize_and_back(const FormatDescriptor& format, Dtype source) {
    const QuantSpec spec = spec_of(format);
    const MatrixView weight = shaped(spec, host_source_.data(), source, options_.rows, options_.columns);
    const formats::LayerLayout layout(spec, weight.rows, weight.columns);
    if (!format.accepts({"", source, {options_.rows, options_.columns}, 0}, spec) || weight.elements() != n_) return;
    const std::uint64_t code_bytes = layout.code_bytes(weight.rows);
    const std::uint64_t scale_bytes = layout.has_group_scales() ? layout.scale_bytes(weight.rows) : 0;

    std::vector<std::byte> codes(code_bytes);
    std::vector<std::byte> scales(scale_bytes);
    const float amax = codec::from_bits(amax_);
    cpu_->quantize(spec, weight, amax, {codes.data(), scales.data()});

    const DeviceBuffer device_codes = make(code_bytes);
    const DeviceBuffer device_scales = make(scale_bytes);
    const DeviceBuffer largest = make(sizeof(std::uint32_t));
    check(cudaMemsetAsync(device_codes.data(), 0xEE, code_bytes, stream_.get()), "clear device memory");
    check(cudaMemsetAsync(device_scales.data(), 0xEE, scale_bytes, stream_.get()), "clear device memory");
    check(cudaMemsetAsync(largest.data(), 0, sizeof(std::uint32_t), stream_.get()), "clear device memory");
    const QuantizeArgs args{.source = source_.data(),
                            .rows = weight.rows,
                            .columns = weight.columns,
                            .block_size = spec.block_size,
                            .group_size = spec.group_size,
                            .rotation_group = spec.rotation_group,
                            .rotated = rotated_.as<float>(),
                            .tensor_amax = amax,
                            .codes = device_codes.as<std::uint8_t>(),
                            .scales = device_scales.data(),
                            .largest = largest.as<std::uint32_t>()};
    const auto launch = [&] { launches_of(format).quantize[source_index(source)](args, stream_.get()); };
    launch();
    require(download<std::byte>(device_codes, code_bytes) == codes && download<std::byte>(device_scales, scale_bytes) == scales, "quantize",
            format.name(), source);
    report_({"quantize", std::string(format.name()), std::string(name_of(source)), std::string(name_of(format.facts().code_dtype)),
             time(launch), host_source_.size() + code_bytes + scale_bytes});
    if (layout.measures_first()) measure_and_quantize(format, source, args, codes, code_bytes + scale_bytes);
    if (source != Dtype::F32) dequantize(spec, weight, source, codes, scales, device_codes, device_scales);
  }

  /// Both passes of a format with a scale of the whole weight, the maximum never leaving the device.
  void measure_and_quantize(const FormatDescriptor& format, Dtype source, QuantizeArgs args, const std::vector<std::byte>& codes,
                            std::uint64_t out_bytes) {
    const DeviceBuffer largest = make(sizeof(std::uint32_t));
    args.measured = largest.as<std::uint32_t>();
    const auto launch = [&] {
      check(cudaMemsetAsync(largest.data(), 0, sizeof(std::uint32_t), stream_.get()), "clear device memory");
      max_magnitude_launch(source)(args.source, n_, largest.as<std::uint32_t>(), stream_.get());
      launches_of(format).quantize[source_index(source)](args, stream_.get());
    };
    check(cudaMemsetAsync(args.codes, 0xEE, codes.size(), stream_.get()), "clear device memory");
    launch();
    std::vector<std::byte> found(codes.size());
    check(cudaMemcpyAsync(found.data(), args.codes, codes.size(), cudaMemcpyDeviceToHost, stream_.get()), "copy from the device");
    stream_.synchronize();
    require(found == codes, "measure+quantize", format.name(), source);
    report_({"measure+quantize", std::string(format.name()), std::string(name_of(source)), std::string(name_of(format.facts().code_dtype)),
             time(launch), host_source_.size() + out_bytes});
  }

  /// Small BF16 weights one behind another in device memory: those of the large one, again and again.
  struct SmallWeights {
    static constexpr std::uint64_t kCount = 1000;
    static constexpr std::uint64_t kSide = 1024;
    static constexpr std::uint64_t kElements = kSide * kSide;
    static constexpr std::uint64_t kInBytes = 2 * kElements;

    QuantSpec spec;
    MatrixView shape;          ///< of one, without data
    std::uint64_t code_bytes;  ///< of one
    std::uint64_t scale_bytes;
    DeviceBuffer source;
    DeviceBuffer codes;
    DeviceBuffer scales;
    DeviceBuffer largest;

    [[nodiscard]] QuantizeArgs args(std::uint64_t i) const {
      return {.source = source.data() + i * kInBytes,
              .rows = shape.rows,
              .columns = shape.columns,
              .block_size = spec.block_size,
              .group_size = spec.group_size,
              .rotation_group = spec.rotation_group,
              .tensor_amax = 1.0F,
              .codes = codes.as<std::uint8_t>() + i * code_bytes,
              .scales = scales.data() + i * scale_bytes,
              .largest = largest.as<std::uint32_t>()};
    }
  };

  [[nodiscard]] std::uint64_t distinct_small_weights() const {
    return std::min<std::uint64_t>(bf16_source_.size() / SmallWeights::kInBytes, SmallWeights::kCount);
  }

  [[nodiscard]] SmallWeights upload_small(const QuantSpec& spec) const {
    const MatrixView shape = shaped(spec, nullptr, Dtype::BF16, SmallWeights::kSide, SmallWeights::kSide);
    const formats::LayerLayout layout(spec, shape.rows, shape.columns);
    const std::uint64_t code_bytes = layout.code_bytes(shape.rows);
    const std::uint64_t scale_bytes = layout.has_group_scales() ? layout.scale_bytes(shape.rows) : 0;
    SmallWeights small{spec,
                       shape,
                       code_bytes,
                       scale_bytes,
                       make(SmallWeights::kCount * SmallWeights::kInBytes),
                       make(SmallWeights::kCount * code_bytes),
                       make(SmallWeights::kCount * scale_bytes),
                       make(sizeof(std::uint32_t))};
    for (std::uint64_t i = 0; i < SmallWeights::kCount; ++i) {
      check(cudaMemcpyAsync(small.source.data() + i * SmallWeights::kInBytes,
                            bf16_source_.data() + i % distinct_small_weights() * SmallWeights::kInBytes, SmallWeights::kInBytes,
                            cudaMemcpyHostToDevice, stream_.get()),
            "copy to the device");
    }
    check(cudaMemsetAsync(small.codes.data(), 0xEE, SmallWeights::kCount * code_bytes, stream_.get()), "clear device memory");
    check(cudaMemsetAsync(small.largest.data(), 0, sizeof(std::uint32_t), stream_.get()), "clear device memory");
    return small;
  }

  /// Compares each kind of weight with the CPU's, and the others with the first of their kind.
  void require_small_equal(const SmallWeights& small) const {
    const auto codes = download<std::byte>(small.codes, SmallWeights::kCount * small.code_bytes);
    const auto scales = download<std::byte>(small.scales, SmallWeights::kCount * small.scale_bytes);
    const auto is = [](const std::byte* found, const std::byte* wanted, std::uint64_t n) {
      return n == 0 || std::memcmp(found, wanted, n) == 0;
    };
    std::vector<std::byte> cpu_codes(small.code_bytes);
    std::vector<std::byte> cpu_scales(small.scale_bytes);
    for (std::uint64_t i = 0; i < SmallWeights::kCount; ++i) {
      const std::uint64_t first = i % distinct_small_weights();
      const std::byte* wanted_codes = codes.data() + first * small.code_bytes;
      const std::byte* wanted_scales = scales.data() + first * small.scale_bytes;
      if (i == first) {
        MatrixView weight = small.shape;
        weight.data = bf16_source_.data() + i * SmallWeights::kInBytes;
        cpu_->quantize(small.spec, weight, 1.0F, {cpu_codes.data(), cpu_scales.data()});
        wanted_codes = cpu_codes.data();
        wanted_scales = cpu_scales.data();
      }
      require(is(codes.data() + i * small.code_bytes, wanted_codes, small.code_bytes) &&
                  is(scales.data() + i * small.scale_bytes, wanted_scales, small.scale_bytes),
              "quantize-small", small.spec.format->name(), Dtype::BF16);
    }
  }

  /// What a model of small layers costs: their kernels, recorded one by one into a graph of several streams, as
  /// many as a device has lanes.  Needs a large weight of at least one small one.
  void quantize_small(const FormatDescriptor& format) {
    constexpr std::size_t n_streams = 8;
    if (distinct_small_weights() == 0) return;
    const SmallWeights small = upload_small(spec_of(format));
    const std::vector<Stream> streams(n_streams);
    const Graph graph(stream_, streams, [&] {
      for (std::uint64_t i = 0; i < SmallWeights::kCount; ++i) {
        launches_of(format).quantize[source_index(Dtype::BF16)](small.args(i), streams[i % n_streams].get());
      }
    });
    graph.launch(stream_);
    require_small_equal(small);
    report_({"quantize-small", std::string(format.name()), "BF16", std::string(name_of(format.facts().code_dtype)),
             time([&] { graph.launch(stream_); }), SmallWeights::kCount * (SmallWeights::kInBytes + small.code_bytes + small.scale_bytes)});
  }

  /// Back to `target`, from codes that are known to be right; what was rotated stays so.
  void dequantize(QuantSpec spec, const MatrixView& weight, Dtype target, const std::vector<std::byte>& codes,
                  const std::vector<std::byte>& scales, const DeviceBuffer& device_codes, const DeviceBuffer& device_scales) {
    spec.rotation_group = 0;
    const std::uint64_t out_bytes = n_ * bits_of(target) / 8;
    std::vector<float> values(n_);
    std::vector<std::byte> expected(out_bytes);
    const float whole = tensor_scale(*spec.format, codec::from_bits(amax_));
    cpu_->dequantize(spec, {codes.data(), spec.format->facts().code_dtype, weight.rows, weight.columns}, scales.data(), whole,
                     values.data());
    cpu_->from_float(values.data(), n_, target, expected.data());
    const DeviceBuffer out = make(out_bytes);
    const DeviceBuffer device_whole = make(sizeof whole);
    check(cudaMemcpyAsync(device_whole.data(), &whole, sizeof whole, cudaMemcpyHostToDevice, stream_.get()), "copy to the device");
    const DequantizeArgs args{.codes = device_codes.as<std::uint8_t>(),
                              .rows = weight.rows,
                              .columns = weight.columns,
                              .block_size = spec.block_size,
                              .group_size = spec.group_size,
                              .scales = spec.format->grid() == ScaleGrid::tensor ? device_whole.data() : device_scales.data(),
                              .tensor_scale = device_whole.as<float>(),
                              .out = out.data()};
    const auto launch = [&] { launches_of(*spec.format).dequantize[target_index(target)](args, stream_.get()); };
    launch();
    require(download<std::byte>(out, out_bytes) == expected, "dequantize", spec.format->name(), target);
    report_({"dequantize", std::string(spec.format->name()), std::string(name_of(spec.format->facts().code_dtype)),
             std::string(name_of(target)), time(launch), codes.size() + scales.size() + out_bytes});
  }

  /// From the binary32 weights that were measured last.
  void cast(Dtype target) {
    const std::uint64_t out_bytes = n_ * bits_of(target) / 8;
    std::vector<float> values(n_);
    std::memcpy(values.data(), host_source_.data(), host_source_.size());
    std::vector<std::byte> expected(out_bytes);
    cpu_->from_float(values.data(), n_, target, expected.data());
    const DeviceBuffer out = make(out_bytes);
    const auto launch = [&] { cast_launch(Dtype::F32, target)(source_.data(), n_, out.data(), stream_.get()); };
    launch();
    require(download<std::byte>(out, out_bytes) == expected, "cast", "", target);
    report_({"cast", "", "F32", std::string(name_of(target)), time(launch), host_source_.size() + out_bytes});
  }

  KernelBenchOptions options_;
  const std::function<void(const KernelTime&)>& report_;
  std::unique_ptr<Backend> cpu_;
  std::uint64_t n_;
  Stream stream_;
  std::vector<std::byte> host_source_;
  std::vector<std::byte> bf16_source_;
  DeviceBuffer source_;
  DeviceBuffer rotated_;  ///< room for a rotated weight
  std::uint32_t amax_ = 0;
};

}  // namespace

void bench_kernels(int device, const KernelBenchOptions& options, const std::function<void(const KernelTime&)>& report) {
  check(cudaSetDevice(device), "choose a device");
  KernelBench(options, report).run();
}

}  // namespace halftone::cuda
