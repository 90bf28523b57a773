#include "linear/linear_lane.hpp"

#include "launch_table.hpp"
#include "linear/epilogues.hpp"

namespace halftone::cuda {
namespace {

int architecture_of(int device) {
  int major = 0;
  int minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "ask for a compute capability");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "ask for a compute capability");
  return major * 10 + minor;
}

}  // namespace

int use_device(int device) {
  check(cudaSetDevice(device), "choose a device");
  return device;
}

LinearLane::LinearLane(int device)
    : device_(use_device(device)),
      architecture_(architecture_of(device)),
      products_(stream_.get()),
      words_(8 * sizeof(std::uint32_t), stream_.get()) {
  check(cudaMemsetAsync(words_.data(), 0, words_.size(), stream_.get()), "clear device memory");
}

std::byte* LinearLane::reserve(Room which, std::uint64_t n_bytes) {
  DeviceBuffer& buffer = rooms_[static_cast<std::size_t>(which)];
  if (buffer.size() < n_bytes) {
    buffer = DeviceBuffer();  // back to the pool first
    buffer = DeviceBuffer(n_bytes, stream_.get());
  }
  return buffer.data();
}

bool LinearLane::multiply(LibraryProduct product, const Bias& bias, Dtype y_type, void* y) {
  product.y_type = y_type == Dtype::BF16 ? CUDA_R_16BF : CUDA_R_32F;
  product.y = y;
  if (bias.exact == nullptr) return products_.multiply(product);
  if (y_type == Dtype::BF16) {
    product.bias = bias.rounded;
    if (products_.multiply(product)) return true;
    product.bias = nullptr;
  }
  float* sums = y_type == Dtype::BF16 ? room<float>(Room::sums, product.m * product.n) : static_cast<float*>(y);
  product.y_type = CUDA_R_32F;
  product.y = sums;
  if (!products_.multiply(product)) return false;
  launch_add_bias(sums, product.m, product.n, bias.exact, stream());
  if (y_type == Dtype::BF16) cast_launch(Dtype::F32, Dtype::BF16)(sums, product.m * product.n, y, stream());
  return true;
}

}  // namespace halftone::cuda
