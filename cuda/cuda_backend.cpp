#include "cuda_backend.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include <halftone/codec/hd.hpp>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "devices.hpp"
#include "formats/float_types.hpp"
#include "formats/layer_layout.hpp"
#include "kept_bands.hpp"
#include "lane.hpp"
#include "launch_table.hpp"
#include "toolkit_libraries.hpp"

namespace halftone::cuda {
namespace {

/// Cuts of a lane's buffer, each aligned for any access.
class Parts {
 public:
  std::size_t add(std::size_t n_bytes) {
    const std::size_t at = n_bytes_;
    n_bytes_ = base::round_up(n_bytes_ + n_bytes, 256);
    return at;
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return n_bytes_; }

 private:
  std::size_t n_bytes_ = 0;
};

void copy_in(const Lane& lane, std::byte* device, const std::byte* from, std::size_t n_bytes) {
  std::memcpy(lane.host_in.data(), from, n_bytes);
  check(cudaMemcpyAsync(device, lane.host_in.data(), n_bytes, cudaMemcpyHostToDevice, lane.stream.get()), "copy to the device");
}

void copy_out(const Lane& lane, std::size_t n_bytes) {
  check(cudaMemcpyAsync(lane.host_out.data(), lane.device_out.data(), n_bytes, cudaMemcpyDeviceToHost, lane.stream.get()),
        "copy from the device");
  lane.stream.synchronize();
}

void clear(const Lane& lane, void* device, std::size_t n_bytes) {
  check(cudaMemsetAsync(device, 0, n_bytes, lane.stream.get()), "clear device memory");
}

class CudaBackend : public Backend {
 public:
  CudaBackend(const BackendOptions& options, const Findings& findings)
      : devices_(options.devices, findings.devices[static_cast<std::size_t>(options.devices.front())].name, options.device_memory) {}

  [[nodiscard]] std::string_view name() const noexcept override { return devices_.name(); }
  [[nodiscard]] DeviceKind kind() const noexcept override { return DeviceKind::gpu; }
  [[nodiscard]] std::string_view product() const noexcept override { return devices_.product(); }
  [[nodiscard]] std::string failed_device() const override { return devices_.failed(); }

  [[nodiscard]] Support supports_learning() const override {
    for (const ToolkitLibrary& library : find_toolkit_libraries()) {
      if (!library.problem.empty()) return {false, fmt::format("learned rounding needs {}: {}", library.file, library.problem)};
    }
    return {};
  }

  [[nodiscard]] std::size_t devices() const noexcept override { return devices_.count(); }
  [[nodiscard]] std::size_t engines_at_once() const noexcept override { return devices_.count() * EnginePool::kMost; }
  [[nodiscard]] std::shared_ptr<learn::Engine> make_engine(std::uint64_t bytes) const override {
    place_.budget.give_back(place_.store.clear());  // what is kept for bands is not in use now
    return devices_.engines().acquire(bytes);
  }
  [[nodiscard]] std::optional<std::uint64_t> engine_bytes() const noexcept override { return devices_.engines().bytes(); }

  [[nodiscard]] Support supports(const QuantSpec& spec, Dtype source) const override {
    const Storage& storage = spec.format->storage();
    if (storage.padding != std::max(storage.run, 1U)) {
      return {false, fmt::format("there are no CUDA kernels for the padding of {}", spec.format->name())};
    }
    if (is_source_float(source)) return {};
    return {false, fmt::format("CUDA quantizes {}, not {}", formats::source_floats(), name_of(source))};
  }

  [[nodiscard]] std::uint32_t max_magnitude(const MatrixView& band) const override {
    std::unique_ptr<KeptBand> none;
    return measure(band, nullptr, none);
  }

  [[nodiscard]] std::uint32_t max_magnitude_and_keep(const MatrixView& band, std::unique_ptr<KeptBand>& kept) const override {
    return measure(band, &place_, kept);
  }

  std::uint32_t quantize(const QuantSpec& spec, const MatrixView& band, float tensor_amax, const QuantizedBand& out) const override {
    const auto* kept = static_cast<const DeviceBand*>(band.kept);
    LanePool::Lease lane = place_.pool.acquire();
    const formats::LayerLayout layout(spec, band.rows, band.columns);
    std::uint32_t largest = 0;
    for_tiles(band, layout.row_multiple(), [&](std::uint64_t row, std::uint64_t rows) {
      const std::byte* on_device = kept != nullptr ? kept->data() + row_bytes(band) * row : nullptr;
      const QuantizedBand part{out.codes + layout.code_bytes(row), out.scales == nullptr ? nullptr : out.scales + layout.scale_bytes(row)};
      largest = std::max(largest, quantize_tile(*lane, spec, tile_of(band, row, rows), on_device, tensor_amax, part));
    });
    return layout.measures_first() ? codec::bits(tensor_amax) : largest;
  }

  void dequantize(const QuantSpec& spec, const MatrixView& band, const std::byte* scales, float tensor_scale, float* out) const override {
    LanePool::Lease lane = place_.pool.acquire();
    const formats::LayerLayout layout(spec, band.rows, band.columns);
    for_tiles(band, layout.row_multiple(), [&](std::uint64_t row, std::uint64_t rows) {
      const std::byte* part = scales == nullptr ? nullptr : scales + layout.scale_bytes(row);
      const MatrixView tile{band.data + layout.code_bytes(row), band.dtype, rows, band.columns};
      dequantize_tile(*lane, spec, tile, part, tensor_scale, out + row * band.columns);
    });
  }

  void add_squared_errors(const QuantSpec& spec, const MatrixView& band, std::span<const float> tensor_amaxes, float unit,
                          std::span<ErrorSum> sums) const override {
    if (spec.rotation_group != 0) {
      fail(ErrorKind::internal, "CUDA adds no errors of {}, whose values would have to be rotated back", spec.format->name());
    }
    LanePool::Lease lane = place_.pool.acquire();
    for_tiles(band, formats::LayerLayout(spec, band.rows, band.columns).row_multiple(), [&](std::uint64_t row, std::uint64_t rows) {
      add_errors_of_tile(*lane, spec, tile_of(band, row, rows), tensor_amaxes, unit, sums);
    });
  }

  void to_float(Dtype source, const std::byte* data, std::uint64_t n, float* out) const override {
    cast(source, data, n, Dtype::F32, reinterpret_cast<std::byte*>(out));
  }

  void from_float(const float* data, std::uint64_t n, Dtype target, std::byte* out) const override {
    if (!is_target_float(target)) fail(ErrorKind::internal, "the CUDA kernels write no {}", name_of(target));
    cast(Dtype::F32, reinterpret_cast<const std::byte*>(data), n, target, out);
  }

 private:
  [[nodiscard]] static std::uint64_t row_bytes(const MatrixView& band) { return band.columns * bits_of(band.dtype) / 8; }

  [[nodiscard]] static MatrixView tile_of(const MatrixView& band, std::uint64_t row, std::uint64_t rows) {
    return {band.data == nullptr ? nullptr : band.data + row_bytes(band) * row, band.dtype, rows, band.columns};
  }

  /// Calls work(first row, rows) for tiles of kTileBytes, whole multiples of `multiple` rows.
  template <class Work>
  static void for_tiles(const MatrixView& band, std::uint64_t multiple, const Work& work) {
    if (band.elements() == 0) return;
    const std::uint64_t step = std::max(kTileBytes / row_bytes(band) / multiple, std::uint64_t{1}) * multiple;
    for (std::uint64_t row = 0; row < band.rows; row += step) work(row, std::min(step, band.rows - row));
  }

  /// `keep`: where to keep the band if there is room, null to keep nothing.
  [[nodiscard]] std::uint32_t measure(const MatrixView& band, Place* keep, std::unique_ptr<KeptBand>& kept) const {
    LanePool::Lease lane = place_.pool.acquire();
    std::unique_ptr<DeviceBand> made;
    if (keep != nullptr && band.bytes() != 0) {
      DeviceBuffer buffer = keep->make_buffer(band.bytes(), *lane);
      if (buffer.size() != 0) made = std::make_unique<DeviceBand>(*keep, std::move(buffer));
    }
    std::uint32_t largest = 0;
    for_tiles(band, 1, [&](std::uint64_t row, std::uint64_t rows) {
      const MatrixView tile = tile_of(band, row, rows);
      lane->reserve(tile.bytes(), sizeof(std::uint32_t));
      std::byte* place = made ? const_cast<std::byte*>(made->data()) + row_bytes(band) * row : lane->device_in.data();
      clear(*lane, lane->device_out.data(), sizeof(std::uint32_t));
      copy_in(*lane, place, tile.data, tile.bytes());
      max_magnitude_launch(tile.dtype)(place, tile.elements(), lane->device_out.as<std::uint32_t>(), lane->stream.get());
      copy_out(*lane, sizeof(std::uint32_t));
      largest = std::max(largest, *lane->host_out.as<std::uint32_t>());
    });
    kept = std::move(made);
    return largest;
  }

  [[nodiscard]] static std::uint32_t quantize_tile(Lane& lane, const QuantSpec& spec, const MatrixView& tile, const std::byte* on_device,
                                                   float tensor_amax, const QuantizedBand& out) {
    const formats::LayerLayout layout(spec, tile.rows, tile.columns);
    const std::uint64_t code_bytes = layout.code_bytes(tile.rows);
    const std::uint64_t scale_bytes = layout.scale_bytes(tile.rows);
    Parts parts;
    const std::size_t largest = parts.add(sizeof(std::uint32_t));
    const std::size_t scales = parts.add(scale_bytes);
    const std::size_t codes = parts.add(code_bytes);
    Parts inputs;
    const std::size_t source = inputs.add(on_device == nullptr ? tile.bytes() : 0);
    const std::size_t rotated = inputs.add(spec.rotation_group == 0 ? 0 : tile.elements() * sizeof(float));
    lane.reserve(on_device == nullptr ? tile.bytes() : 0, codes + code_bytes, {inputs.bytes(), parts.bytes()});
    std::byte* device = lane.device_out.data();
    clear(lane, device, codes);  // the largest magnitude, and the gaps between the parts
    if (on_device == nullptr) copy_in(lane, lane.device_in.data() + source, tile.data, tile.bytes());
    const QuantizeArgs args{.source = on_device != nullptr ? on_device : lane.device_in.data() + source,
                            .rows = tile.rows,
                            .columns = tile.columns,
                            .block_size = spec.block_size,
                            .group_size = spec.group_size,
                            .rotation_group = spec.rotation_group,
                            .search = spec.scales == ScaleMethod::search,
                            .rotated = reinterpret_cast<float*>(lane.device_in.data() + rotated),
                            .tensor_amax = tensor_amax,
                            .codes = reinterpret_cast<std::uint8_t*>(device + codes),
                            .scales = device + scales,
                            .largest = reinterpret_cast<std::uint32_t*>(device + largest)};
    launches_of(*spec.format).quantize[formats::float_index(tile.dtype)](args, lane.stream.get());
    copy_out(lane, codes + code_bytes);
    std::memcpy(out.codes, lane.host_out.data() + codes, code_bytes);
    if (scale_bytes != 0) std::memcpy(out.scales, lane.host_out.data() + scales, scale_bytes);
    std::uint32_t found = 0;
    std::memcpy(&found, lane.host_out.data() + largest, sizeof found);
    return found;
  }

  /// `scales`: those of the groups of the tile, or null.
  static void dequantize_tile(Lane& lane, const QuantSpec& spec, const MatrixView& tile, const std::byte* scales, float tensor_scale,
                              float* out) {
    const formats::LayerLayout layout(spec, tile.rows, tile.columns);
    const std::uint64_t code_bytes = layout.code_bytes(tile.rows);
    const std::uint64_t scale_bytes = layout.has_group_scales() ? layout.scale_bytes(tile.rows) : 0;
    Parts parts;
    const std::size_t code_part = parts.add(code_bytes);
    const std::size_t scale_part = parts.add(scale_bytes);
    const std::size_t tensor_part = parts.add(sizeof tensor_scale);
    lane.reserve(parts.bytes(), tile.elements() * sizeof(float));
    std::memcpy(lane.host_in.data() + code_part, tile.data, code_bytes);
    if (scale_bytes != 0) std::memcpy(lane.host_in.data() + scale_part, scales, scale_bytes);
    std::memcpy(lane.host_in.data() + tensor_part, &tensor_scale, sizeof tensor_scale);
    std::byte* device = lane.device_in.data();
    check(cudaMemcpyAsync(device, lane.host_in.data(), parts.bytes(), cudaMemcpyHostToDevice, lane.stream.get()), "copy to the device");
    const DequantizeArgs args{.codes = reinterpret_cast<const std::uint8_t*>(device + code_part),
                              .rows = tile.rows,
                              .columns = tile.columns,
                              .block_size = spec.block_size,
                              .group_size = spec.group_size,
                              .scales = device + (layout.has_group_scales() ? scale_part : tensor_part),
                              .tensor_scale = reinterpret_cast<const float*>(device + tensor_part),
                              .out = lane.device_out.data()};
    launches_of(*spec.format).dequantize[formats::float_index(Dtype::F32)](args, lane.stream.get());
    if (spec.rotation_group != 0) {
      rotate_launch(Dtype::F32)(lane.device_out.data(), tile.elements(), spec.rotation_group, lane.device_out.as<float>(),
                                lane.stream.get());
    }
    copy_out(lane, tile.elements() * sizeof(float));
    std::memcpy(out, lane.host_out.data(), tile.elements() * sizeof(float));
  }

  /// Where a tile is, and the errors and the values of its first candidate.
  struct Trial {
    ErrorArgs errors;
    DequantizeArgs back;
  };

  /// The errors of formats of two levels, candidate by candidate.
  static void add_errors_of_values(const QuantSpec& spec, Dtype dtype, std::span<const float> tensor_amaxes, Trial trial,
                                   cudaStream_t stream) {
    const FormatLaunches& launches = launches_of(*spec.format);
    for (const float amax : tensor_amaxes) {
      const QuantizeArgs quantize{.source = trial.errors.source,
                                  .rows = trial.errors.rows,
                                  .columns = trial.errors.columns,
                                  .block_size = spec.block_size,
                                  .group_size = spec.group_size,
                                  .search = spec.scales == ScaleMethod::search,
                                  .tensor_amax = amax,
                                  .codes = const_cast<std::uint8_t*>(trial.back.codes),
                                  .scales = const_cast<std::byte*>(trial.back.scales)};
      launches.quantize[formats::float_index(dtype)](quantize, stream);
      launches.dequantize[formats::float_index(Dtype::F32)](trial.back, stream);
      value_errors_launch(dtype)(trial.errors, stream);
      ++trial.back.tensor_scale;
      trial.errors.sums += sizeof(ErrorSum) / sizeof *trial.errors.sums;
    }
  }

  static void add_errors_of_tile(Lane& lane, const QuantSpec& spec, const MatrixView& tile, std::span<const float> tensor_amaxes,
                                 float unit, std::span<ErrorSum> sums) {
    const FormatLaunches& launches = launches_of(*spec.format);
    const auto errors_of_all = launches.errors[formats::float_index(tile.dtype)];
    const formats::LayerLayout layout(spec, tile.rows, tile.columns);
    Parts inputs;
    const std::size_t source = inputs.add(tile.bytes());
    const std::size_t tensor = inputs.add(tensor_amaxes.size_bytes());
    const std::size_t host_bytes = inputs.bytes();
    const std::size_t values = inputs.add(errors_of_all != nullptr ? 0 : tile.elements() * sizeof(float));
    Parts outputs;
    const std::size_t found = outputs.add(sums.size_bytes());
    const std::size_t scales = outputs.add(errors_of_all != nullptr ? 0 : layout.scale_bytes(tile.rows));
    const std::size_t codes = outputs.add(errors_of_all != nullptr ? 0 : layout.code_bytes(tile.rows));
    lane.reserve(host_bytes, sums.size_bytes(), {inputs.bytes(), outputs.bytes()});
    std::byte* in = lane.device_in.data();
    std::byte* out = lane.device_out.data();
    std::memcpy(lane.host_in.data() + source, tile.data, tile.bytes());
    auto* tensor_scales = reinterpret_cast<float*>(lane.host_in.data() + tensor);
    for (std::size_t i = 0; i < tensor_amaxes.size(); ++i) tensor_scales[i] = tensor_scale(*spec.format, tensor_amaxes[i]);
    check(cudaMemcpyAsync(in, lane.host_in.data(), host_bytes, cudaMemcpyHostToDevice, lane.stream.get()), "copy to the device");
    clear(lane, out + found, sums.size_bytes());
    const ErrorArgs errors{.source = in + source,
                           .rows = tile.rows,
                           .columns = tile.columns,
                           .values = reinterpret_cast<const float*>(in + values),
                           .amaxes = tensor_amaxes.data(),
                           .unit = unit,
                           .sums = reinterpret_cast<unsigned long long*>(out + found)};
    if (errors_of_all != nullptr) {
      errors_of_all(errors, lane.stream.get());
    } else {
      const DequantizeArgs back{.codes = reinterpret_cast<const std::uint8_t*>(out + codes),
                                .rows = tile.rows,
                                .columns = tile.columns,
                                .block_size = spec.block_size,
                                .group_size = spec.group_size,
                                .scales = out + scales,
                                .tensor_scale = reinterpret_cast<const float*>(in + tensor),
                                .out = in + values};
      add_errors_of_values(spec, tile.dtype, tensor_amaxes, {errors, back}, lane.stream.get());
    }
    copy_out(lane, sums.size_bytes());
    std::vector<ErrorSum> of_tile(sums.size());
    std::memcpy(of_tile.data(), lane.host_out.data(), sums.size_bytes());
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += of_tile[i];
  }

  void cast(Dtype source, const std::byte* data, std::uint64_t n, Dtype target, std::byte* out) const {
    LanePool::Lease lane = place_.pool.acquire();
    const std::uint64_t in_bytes = bits_of(source) / 8;
    const std::uint64_t out_bytes = bits_of(target) / 8;
    const std::uint64_t step = kTileBytes / std::max(in_bytes, out_bytes);
    for (std::uint64_t at = 0; at < n; at += step) {
      const std::uint64_t count = std::min(step, n - at);
      lane->reserve(count * in_bytes, count * out_bytes);
      copy_in(*lane, lane->device_in.data(), data + at * in_bytes, count * in_bytes);
      cast_launch(source, target)(lane->device_in.data(), count, lane->device_out.data(), lane->stream.get());
      copy_out(*lane, count * out_bytes);
      std::memcpy(out + at * out_bytes, lane->host_out.data(), count * out_bytes);
    }
  }

  mutable Devices devices_;
  Place& place_ = devices_.first();  ///< that all bands pass through
};

}  // namespace

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const Findings findings = find_devices();
  if (!findings.obstacle.empty()) fail(ErrorKind::device, "--device cuda: {}", findings.obstacle);
  for (const int ordinal : options.devices) {
    if (ordinal < 0 || static_cast<std::size_t>(ordinal) >= findings.devices.size()) {
      fail(ErrorKind::device, "--device cuda:{}: there is no such device; the last one is cuda:{}", ordinal, findings.devices.size() - 1);
    }
    const Device& device = findings.devices[static_cast<std::size_t>(ordinal)];
    if (!device.obstacle.empty())
      fail(ErrorKind::device, "--device cuda:{}: '{}' cannot be used: {}", ordinal, device.name, device.obstacle);
  }
  return std::make_unique<CudaBackend>(options, findings);
}

}  // namespace halftone::cuda
