#include "linear/device_linear.hpp"

#include <algorithm>

#include "base/fail.hpp"
#include "launch_table.hpp"
#include "linear/device_weight.hpp"
#include "ops/layer_operations.hpp"
#include "ops/linear_checks.hpp"
#include "ops/natural_scales.hpp"
#include "ops/operation_table.hpp"
#include "runtime/event.hpp"

namespace halftone::cuda {
namespace {

/// What the operation table has for the layer on this device; null where its shape or the device has nothing.
std::unique_ptr<ProductPath> fast_path(const LinearLane& lane, const LinearLayer& layer, halftone::Activations activations) {
  if (activations == halftone::Activations::plain) return nullptr;
  switch (ops::operations_of(*layer.spec.format).product) {
    case ops::Product::bf16:
    case ops::Product::decoding:
    case ops::Product::dequantized: return nullptr;
    case ops::Product::fp8: return fp8_path(lane, layer, activations);
    case ops::Product::int8:
    case ops::Product::int8_expanded: return int8_path(lane, layer);
    case ops::Product::fp8_blocks:
    case ops::Product::int8_blocks: return blocks_path(lane, layer);
    case ops::Product::nvfp4:
    case ops::Product::mxfp8: return run_scaled_path(lane, layer, activations);
  }
  fail(ErrorKind::internal, "an unknown product in the operation table");
}

}  // namespace

void DeviceLinear::launch(const Inputs& inputs, const Outputs& outputs) {
  if (inputs.rows == 0 || rows_ == 0) return;
  if (inputs.columns == 0) fail(ErrorKind::unsupported, "a GPU multiplies no inputs without columns");
  for (ProductPath* path : {fast_.get(), any_.get()}) {
    last_ = path;
    if (path != nullptr && path->prepare(lane_, inputs) && path->multiply(lane_, inputs, outputs)) return;
  }
  fail(ErrorKind::unsupported, "cuBLASLt has no product for {} rows of {} inputs and {} outputs", inputs.rows, columns_, rows_);
}

void DeviceLinear::multiply_again(const Inputs& inputs, const Outputs& outputs) {
  if (last_ == nullptr || !last_->multiply(lane_, inputs, outputs)) fail(ErrorKind::internal, "a product has nothing to repeat");
}

Inputs DeviceLinear::upload(const MatrixView& x) {
  auto* bf16 = lane_.room<std::uint16_t>(Room::inputs, x.elements());
  void* given = x.dtype == Dtype::BF16 ? static_cast<void*>(bf16) : lane_.room<std::byte>(Room::given, x.bytes());
  if (x.bytes() != 0) {
    check(cudaMemcpyAsync(given, x.data, x.bytes(), cudaMemcpyHostToDevice, lane_.stream()), "copy to the device");
    if (x.dtype != Dtype::BF16) cast_launch(x.dtype, Dtype::BF16)(given, x.elements(), bf16, lane_.stream());
    lane_.whole_stream().synchronize();  // the caller's memory is free again
  }
  return {bf16, x.rows, x.columns};
}

Outputs DeviceLinear::room_for(std::uint64_t rows, Dtype out) {
  const Dtype made = out == Dtype::BF16 ? Dtype::BF16 : Dtype::F32;
  return {lane_.room<std::byte>(Room::outputs, rows * rows_ * bits_of(made) / 8), made};
}

void DeviceLinear::run(const MatrixView& x, Dtype out, std::byte* y) {
  ops::check_input(x, columns_, out);
  const std::lock_guard lock(lane_.mutex());
  use_device(lane_.device());
  const Inputs inputs = upload(x);
  const Outputs outputs = room_for(x.rows, out);
  launch(inputs, outputs);
  const std::uint64_t n = x.rows * rows_;
  if (n == 0) return;
  const void* made = outputs.y;
  if (out == Dtype::F16) {
    made = lane_.room<std::uint16_t>(Room::given, n);
    cast_launch(Dtype::F32, Dtype::F16)(outputs.y, n, const_cast<void*>(made), lane_.stream());
  }
  check(cudaMemcpyAsync(y, made, n * bits_of(out) / 8, cudaMemcpyDeviceToHost, lane_.stream()), "copy from the device");
  lane_.whole_stream().synchronize();
}

double DeviceLinear::seconds(const MatrixView& x, Dtype out, int repeats) {
  ops::check_input(x, columns_, out);
  const std::lock_guard lock(lane_.mutex());
  use_device(lane_.device());
  const Inputs inputs = upload(x);
  const Outputs outputs = room_for(x.rows, out);
  launch(inputs, outputs);  // chooses algorithms
  launch(inputs, outputs);
  std::vector<double> times;
  Event begin;
  Event end;
  for (int i = 0; i < std::max(repeats, 1); ++i) {
    begin.record(lane_.stream());
    launch(inputs, outputs);
    end.record(lane_.stream());
    end.synchronize();
    times.push_back(end.seconds_since(begin));
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

std::unique_ptr<DeviceLinear> LaneDevice::on_device(const LinearLayer& layer, halftone::Activations activations) {
  const std::lock_guard lock(lane_.mutex());
  use_device(lane_.device());
  ops::check_bias(layer.bias.size(), layer.rows);
  if (layer.scales_of_columns || ops::has_own_levels(layer)) {
    if (activations != halftone::Activations::plain) {
      fail(ErrorKind::unsupported, "a GPU quantizes no inputs for a layer of {} with levels of its own", layer.spec.format->name());
    }
    const std::vector<float> values = ops::dequantize_layer(*host_, layer);
    return std::make_unique<DeviceLinear>(lane_, layer.rows, layer.columns, nullptr,
                                          dense_path(lane_, bf16_of(values), layer.rows, layer.bias));
  }
  (void)ops::matrix_of(layer);  // checks the sizes of the tensors
  return std::make_unique<DeviceLinear>(lane_, layer.rows, layer.columns, fast_path(lane_, layer, activations),
                                        dequantized_path(lane_, layer, activations));
}

std::unique_ptr<Linear> LaneDevice::linear(const LinearLayer& layer, halftone::Activations activations) {
  return on_device(layer, activations);
}

std::unique_ptr<Linear> LaneDevice::dense(const MatrixView& weight, std::span<const float> bias) {
  const std::lock_guard lock(lane_.mutex());
  use_device(lane_.device());
  ops::check_bias(bias.size(), weight.rows);
  std::vector<float> values(weight.elements());
  if (!values.empty()) host_->to_float(weight.dtype, weight.data, values.size(), values.data());
  return std::make_unique<DeviceLinear>(lane_, weight.rows, weight.columns, nullptr,
                                        dense_path(lane_, bf16_of(values), weight.rows, {bias.begin(), bias.end()}));
}

std::unique_ptr<LinearDevice> open_linear_device(int ordinal, std::unique_ptr<Backend> host) {
  return std::make_unique<LaneDevice>(ordinal, std::move(host));
}

}  // namespace halftone::cuda
