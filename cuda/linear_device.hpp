#pragma once

// Linear layers on a GPU as the rest of the library sees them: no CUDA header.

#include <memory>
#include <span>

#include <halftone/linear.hpp>

namespace halftone::cuda {

/// Where linear layers of one GPU run; they share its memory for what lies between kernels, and run one at a time.
class LinearDevice {
 public:
  virtual ~LinearDevice() = default;
  /// The layer on the device, which must outlive it.  Inputs are rounded to BF16 first.
  [[nodiscard]] virtual std::unique_ptr<Linear> linear(const LinearLayer& layer, Activations activations) = 0;
  /// A weight that is not quantized, rounded to BF16.
  [[nodiscard]] virtual std::unique_ptr<Linear> dense(const MatrixView& weight, std::span<const float> bias) = 0;
};

/// `host` decodes what no kernel does.  Throws device where the GPU cannot be used, or cuBLASLt is not there.
[[nodiscard]] std::unique_ptr<LinearDevice> open_linear_device(int ordinal, std::unique_ptr<Backend> host);

}  // namespace halftone::cuda
