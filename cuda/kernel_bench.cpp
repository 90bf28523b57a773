#include "kernel_bench.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <halftone/codec/half.hpp>

#include "bench_tools.hpp"
#include "formats/layer_layout.hpp"
#include "formats/scale_rules.hpp"
#include "launch_table.hpp"
#include "optimizer_bench.hpp"
#include "small_weights_bench.hpp"

namespace halftone::cuda {
namespace {

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

class KernelBench : BenchTools {
 public:
  KernelBench(const KernelBenchOptions& options, const std::function<void(const KernelTime&)>& report_to)
      : BenchTools(options.repeats, report_to), options_(options), n_(options.rows * options.columns) {}

  void run() {
    copy();
    if (options_.ops != BenchedOps::optimizer) formats();
    if (options_.ops != BenchedOps::formats) bench_optimizers(*this, options_.rows, options_.columns);
  }

 private:
  void formats() {
    const std::vector<float> values = sample_weights(n_);
    rotated_ = make(n_ * sizeof(float));
    for (const Dtype source : {Dtype::BF16, Dtype::F16, Dtype::F32}) {
      host_source_.resize(n_ * bits_of(source) / 8);
      cpu->from_float(values.data(), n_, source, host_source_.data());
      source_ = upload(host_source_);
      if (source == Dtype::BF16) bf16_source_ = host_source_;
      max_magnitude(source);
      for (const FormatDescriptor* format : all_formats()) quantize_and_back(*format, source);
    }
    for (const Dtype target : {Dtype::BF16, Dtype::F16}) cast(target);
    for (const FormatDescriptor* format : all_formats()) bench_small_weights(*this, *format, bf16_source_);
  }

  void copy() {
    const std::uint64_t n_bytes = n_ * 2;
    const DeviceBuffer from = make(n_bytes);
    const DeviceBuffer to = make(n_bytes);
    check(cudaMemsetAsync(from.data(), 0x3C, n_bytes, stream.get()), "clear device memory");
    const double seconds = time(
        [&] { check(cudaMemcpyAsync(to.data(), from.data(), n_bytes, cudaMemcpyDeviceToDevice, stream.get()), "copy on the device"); });
    report({"copy", "", "BF16", "BF16", seconds, 2 * n_bytes});
  }

  void max_magnitude(Dtype source) {
    const DeviceBuffer largest = make(sizeof(std::uint32_t));
    check(cudaMemsetAsync(largest.data(), 0, sizeof(std::uint32_t), stream.get()), "clear device memory");
    const auto launch = [&] { max_magnitude_launch(source)(source_.data(), n_, largest.as<std::uint32_t>(), stream.get()); };
    launch();
    amax_ = cpu->max_magnitude({host_source_.data(), source, options_.rows, options_.columns});
    require(download<std::uint32_t>(largest, 1)[0] == amax_, "max_magnitude", "", source);
    report({"max_magnitude", "", std::string(name_of(source)), "", time(launch), host_source_.size()});
  }

  void quantize_and_back(const FormatDescriptor& format, Dtype source) {
    const QuantSpec spec = spec_of(format);
    const MatrixView weight = shaped(spec, host_source_.data(), source, options_.rows, options_.columns);
    const formats::LayerLayout layout(spec, weight.rows, weight.columns);
    if (!format.accepts({"", source, {options_.rows, options_.columns}, 0}, spec) || weight.elements() != n_) return;
    const std::uint64_t code_bytes = layout.code_bytes(weight.rows);
    const std::uint64_t scale_bytes = BenchTools::scale_bytes(spec, weight);

    std::vector<std::byte> codes(code_bytes);
    std::vector<std::byte> scales(scale_bytes);
    const float amax = codec::from_bits(amax_);
    cpu->quantize(spec, weight, amax, {codes.data(), scales.data()});

    const DeviceBuffer device_codes = make(code_bytes);
    const DeviceBuffer device_scales = make(scale_bytes);
    const DeviceBuffer largest = make(sizeof(std::uint32_t));
    check(cudaMemsetAsync(device_codes.data(), 0xEE, code_bytes, stream.get()), "clear device memory");
    check(cudaMemsetAsync(device_scales.data(), 0xEE, scale_bytes, stream.get()), "clear device memory");
    check(cudaMemsetAsync(largest.data(), 0, sizeof(std::uint32_t), stream.get()), "clear device memory");
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
    const auto launch = [&] { launches_of(format).quantize[formats::float_index(source)](args, stream.get()); };
    launch();
    require(download<std::byte>(device_codes, code_bytes) == codes && download<std::byte>(device_scales, scale_bytes) == scales, "quantize",
            format.name(), source);
    report({"quantize", std::string(format.name()), std::string(name_of(source)), std::string(name_of(format.facts().code_dtype)),
            time(launch), host_source_.size() + code_bytes + scale_bytes});
    if (layout.measures_first()) measure_and_quantize(format, source, args, codes, code_bytes + scale_bytes);
    if (source != Dtype::F32) dequantize(spec, weight, source, codes, scales, device_codes, device_scales);
    if (source != Dtype::BF16 || !can_search_scales(format)) return;
    if (layout.has_group_scales()) search(spec, weight, args);
    if (launches_of(format).errors[formats::float_index(source)] != nullptr) candidate_errors(spec, weight);
  }

  /// What a search for the one scale of a weight adds up for each candidate; the CPU does it for an eighth of the weight.
  void candidate_errors(QuantSpec spec, const MatrixView& weight) {
    spec.scales = ScaleMethod::search;
    const formats::ScaleRules& rules = formats::scale_rules(*spec.format);
    std::vector<float> amaxes;
    for (int i = 0; i < rules.tensor_candidates; ++i) amaxes.push_back(codec::from_bits(amax_) * rules.tensor_factor(i));
    constexpr float unit = 16.0F;
    MatrixView part = weight;
    part.rows = std::max(weight.rows / 8, std::uint64_t{1});
    std::vector<ErrorSum> expected(amaxes.size());
    cpu->add_squared_errors(spec, part, amaxes, unit, expected);
    const DeviceBuffer sums = make(amaxes.size() * sizeof(ErrorSum));
    ErrorArgs args{.source = source_.data(),
                   .rows = part.rows,
                   .columns = weight.columns,
                   .amaxes = amaxes.data(),
                   .unit = unit,
                   .sums = sums.as<unsigned long long>()};
    const auto launch = [&] {
      check(cudaMemsetAsync(sums.data(), 0, amaxes.size() * sizeof(ErrorSum), stream.get()), "clear device memory");
      launches_of(*spec.format).errors[formats::float_index(weight.dtype)](args, stream.get());
    };
    launch();
    require(download<ErrorSum>(sums, amaxes.size()) == expected, "candidate-errors", spec.format->name(), weight.dtype);
    args.rows = weight.rows;
    report(
        {"candidate-errors", std::string(spec.format->name()), std::string(name_of(weight.dtype)), "", time(launch), host_source_.size()});
  }

  /// The search for the scales of groups, which the CPU does for an eighth of the weight: there it takes long.
  void search(QuantSpec spec, const MatrixView& weight, QuantizeArgs args) {
    spec.scales = ScaleMethod::search;
    args.search = true;
    const formats::LayerLayout layout(spec, weight.rows, weight.columns);
    MatrixView part = weight;
    part.rows = std::max(weight.rows / 8 / layout.row_multiple(), std::uint64_t{1}) * layout.row_multiple();
    if (part.rows > weight.rows) return;
    std::vector<std::byte> codes(layout.code_bytes(part.rows));
    std::vector<std::byte> scales(layout.scale_bytes(part.rows));
    cpu->quantize(spec, part, args.tensor_amax, {codes.data(), scales.data()});
    const auto launch = [&] { launches_of(*spec.format).quantize[formats::float_index(weight.dtype)](args, stream.get()); };
    launch();
    std::vector<std::byte> found_codes(codes.size());
    std::vector<std::byte> found_scales(scales.size());
    check(cudaMemcpyAsync(found_codes.data(), args.codes, codes.size(), cudaMemcpyDeviceToHost, stream.get()), "copy from the device");
    check(cudaMemcpyAsync(found_scales.data(), args.scales, scales.size(), cudaMemcpyDeviceToHost, stream.get()), "copy from the device");
    stream.synchronize();
    require(found_codes == codes && found_scales == scales, "quantize-search", spec.format->name(), weight.dtype);
    report({"quantize-search", std::string(spec.format->name()), std::string(name_of(weight.dtype)),
            std::string(name_of(spec.format->facts().code_dtype)), time(launch),
            host_source_.size() + layout.code_bytes(weight.rows) + layout.scale_bytes(weight.rows)});
  }

  /// Both passes of a format with a scale of the whole weight, the maximum never leaving the device.
  void measure_and_quantize(const FormatDescriptor& format, Dtype source, QuantizeArgs args, const std::vector<std::byte>& codes,
                            std::uint64_t out_bytes) {
    const DeviceBuffer largest = make(sizeof(std::uint32_t));
    args.measured = largest.as<std::uint32_t>();
    const auto launch = [&] {
      check(cudaMemsetAsync(largest.data(), 0, sizeof(std::uint32_t), stream.get()), "clear device memory");
      max_magnitude_launch(source)(args.source, n_, largest.as<std::uint32_t>(), stream.get());
      launches_of(format).quantize[formats::float_index(source)](args, stream.get());
    };
    check(cudaMemsetAsync(args.codes, 0xEE, codes.size(), stream.get()), "clear device memory");
    launch();
    std::vector<std::byte> found(codes.size());
    check(cudaMemcpyAsync(found.data(), args.codes, codes.size(), cudaMemcpyDeviceToHost, stream.get()), "copy from the device");
    stream.synchronize();
    require(found == codes, "measure+quantize", format.name(), source);
    report({"measure+quantize", std::string(format.name()), std::string(name_of(source)), std::string(name_of(format.facts().code_dtype)),
            time(launch), host_source_.size() + out_bytes});
  }

  /// Back to `target`, from codes that are known to be right; what was rotated stays so.
  void dequantize(QuantSpec spec, const MatrixView& weight, Dtype target, const std::vector<std::byte>& codes,
                  const std::vector<std::byte>& scales, const DeviceBuffer& device_codes, const DeviceBuffer& device_scales) {
    spec.rotation_group = 0;
    const std::uint64_t out_bytes = n_ * bits_of(target) / 8;
    std::vector<float> values(n_);
    std::vector<std::byte> expected(out_bytes);
    const float whole = tensor_scale(*spec.format, codec::from_bits(amax_));
    cpu->dequantize(spec, {codes.data(), spec.format->facts().code_dtype, weight.rows, weight.columns}, scales.data(), whole,
                    values.data());
    cpu->from_float(values.data(), n_, target, expected.data());
    const DeviceBuffer out = make(out_bytes);
    const DeviceBuffer device_whole = make(sizeof whole);
    check(cudaMemcpyAsync(device_whole.data(), &whole, sizeof whole, cudaMemcpyHostToDevice, stream.get()), "copy to the device");
    const DequantizeArgs args{.codes = device_codes.as<std::uint8_t>(),
                              .rows = weight.rows,
                              .columns = weight.columns,
                              .block_size = spec.block_size,
                              .group_size = spec.group_size,
                              .scales = spec.format->grid() == ScaleGrid::tensor ? device_whole.data() : device_scales.data(),
                              .tensor_scale = device_whole.as<float>(),
                              .out = out.data()};
    const auto launch = [&] { launches_of(*spec.format).dequantize[formats::float_index(target)](args, stream.get()); };
    launch();
    require(download<std::byte>(out, out_bytes) == expected, "dequantize", spec.format->name(), target);
    report({"dequantize", std::string(spec.format->name()), std::string(name_of(spec.format->facts().code_dtype)),
            std::string(name_of(target)), time(launch), codes.size() + scales.size() + out_bytes});
  }

  /// From the binary32 weights that were measured last.
  void cast(Dtype target) {
    const std::uint64_t out_bytes = n_ * bits_of(target) / 8;
    std::vector<float> values(n_);
    std::memcpy(values.data(), host_source_.data(), host_source_.size());
    std::vector<std::byte> expected(out_bytes);
    cpu->from_float(values.data(), n_, target, expected.data());
    const DeviceBuffer out = make(out_bytes);
    const auto launch = [&] { cast_launch(Dtype::F32, target)(source_.data(), n_, out.data(), stream.get()); };
    launch();
    require(download<std::byte>(out, out_bytes) == expected, "cast", "", target);
    report({"cast", "", "F32", std::string(name_of(target)), time(launch), host_source_.size() + out_bytes});
  }

  KernelBenchOptions options_;
  std::uint64_t n_;
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
