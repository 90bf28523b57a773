#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include <halftone/bench.hpp>

#include "base/fail.hpp"
#include "cpu/cpu_backend.hpp"
#include "formats/layer_layout.hpp"
#include "runtime/device_buffer.hpp"
#include "runtime/event.hpp"
#include "runtime/stream.hpp"

namespace halftone::cuda {

/// A stream, buffers, a clock, and the CPU that results are compared with: what every part of the benchmark uses.
class BenchTools {
 public:
  BenchTools(int repeats, const std::function<void(const KernelTime&)>& report_to)
      : report(report_to), cpu(cpu::make_backend()), repeats_(repeats) {}

  [[nodiscard]] DeviceBuffer make(std::uint64_t n_bytes) const { return {n_bytes + kGuardBytes, stream.get()}; }

  [[nodiscard]] DeviceBuffer upload(const std::vector<std::byte>& bytes) const {
    DeviceBuffer buffer = make(bytes.size());
    check(cudaMemcpyAsync(buffer.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice, stream.get()), "copy to the device");
    stream.synchronize();
    return buffer;
  }

  template <class T>
  [[nodiscard]] std::vector<T> download(const DeviceBuffer& buffer, std::uint64_t n) const {
    std::vector<T> values(n);
    check(cudaMemcpyAsync(values.data(), buffer.data(), n * sizeof(T), cudaMemcpyDeviceToHost, stream.get()), "copy from the device");
    stream.synchronize();
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
    for (int i = 0; i < repeats_; ++i) {
      begin.record(stream.get());
      launch();
      end.record(stream.get());
      end.synchronize();
      seconds.push_back(end.seconds_since(begin));
    }
    std::nth_element(seconds.begin(), seconds.begin() + repeats_ / 2, seconds.end());
    return seconds[static_cast<std::size_t>(repeats_ / 2)];
  }

  static void require(bool equal, std::string_view kernel, std::string_view format, Dtype dtype) {
    if (!equal)
      fail(ErrorKind::internal, "the kernel {} {} differs from the CPU for {}; nothing was timed", kernel, format, name_of(dtype));
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

  /// Bytes of the scales of the groups of a weight of this shape.
  [[nodiscard]] static std::uint64_t scale_bytes(const QuantSpec& spec, const MatrixView& shape) {
    const formats::LayerLayout layout(spec, shape.rows, shape.columns);
    return layout.has_group_scales() ? layout.scale_bytes(shape.rows) : 0;
  }

  const std::function<void(const KernelTime&)>& report;
  const std::unique_ptr<Backend> cpu;
  const Stream stream;

 private:
  /// Behind each buffer.
  static constexpr std::uint64_t kGuardBytes = 256;

  int repeats_;
};

}  // namespace halftone::cuda
