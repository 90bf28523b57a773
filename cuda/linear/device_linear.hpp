#pragma once

#include <memory>

#include <halftone/linear.hpp>

#include "linear/product_path.hpp"
#include "linear_device.hpp"

namespace halftone::cuda {

/// A layer on a device: the path that its format has there, and the one that takes any shape.
class DeviceLinear : public Linear {
 public:
  /// `fast` may be null.
  DeviceLinear(LinearLane& lane, std::uint64_t rows, std::uint64_t columns, std::unique_ptr<ProductPath> fast,
               std::unique_ptr<ProductPath> any)
      : lane_(lane), rows_(rows), columns_(columns), fast_(std::move(fast)), any_(std::move(any)) {}

  [[nodiscard]] std::string method() const override { return last_ != nullptr ? last_->method() : (fast_ ? fast_ : any_)->method(); }
  [[nodiscard]] std::uint64_t rows() const noexcept override { return rows_; }
  [[nodiscard]] std::uint64_t columns() const noexcept override { return columns_; }
  void run(const MatrixView& x, Dtype out, std::byte* y) override;
  [[nodiscard]] double seconds(const MatrixView& x, Dtype out, int repeats) override;

  /// The product of inputs on the device, into the lane; method() then says which path it took.
  void launch(const Inputs& inputs, const Outputs& outputs);
  /// The same without what becomes of the inputs first: after launch() with inputs of the same shape, before any other layer runs.
  void multiply_again(const Inputs& inputs, const Outputs& outputs);

 private:
  /// Copies inputs to the device and rounds them to BF16.
  [[nodiscard]] Inputs upload(const MatrixView& x);
  /// Where outputs of `rows` rows go: F16 is made from F32.
  [[nodiscard]] Outputs room_for(std::uint64_t rows, Dtype out);

  LinearLane& lane_;
  std::uint64_t rows_;
  std::uint64_t columns_;
  std::unique_ptr<ProductPath> fast_;
  std::unique_ptr<ProductPath> any_;
  ProductPath* last_ = nullptr;
};

/// The same for callers that have their inputs on the device: one lane, and its layers.
class LaneDevice : public LinearDevice {
 public:
  LaneDevice(int ordinal, std::unique_ptr<Backend> host) : lane_(ordinal), host_(std::move(host)) {}
  [[nodiscard]] std::unique_ptr<Linear> linear(const LinearLayer& layer, Activations activations) override;
  [[nodiscard]] std::unique_ptr<Linear> dense(const MatrixView& weight, std::span<const float> bias) override;
  [[nodiscard]] std::unique_ptr<DeviceLinear> on_device(const LinearLayer& layer, halftone::Activations activations);
  [[nodiscard]] LinearLane& lane() noexcept { return lane_; }

 private:
  LinearLane lane_;
  std::unique_ptr<Backend> host_;
};

}  // namespace halftone::cuda
