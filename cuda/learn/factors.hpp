#pragma once

#include <cusolverDn.h>

#include <memory>
#include <vector>

#include "learn/engine.hpp"
#include "runtime/device_buffer.hpp"

namespace halftone::cuda {

/// Factors of matrices with cuSOLVER, in one stream.
class Factors {
 public:
  /// Opens the library.  Throws device where it is not there.
  explicit Factors(cudaStream_t stream);
  Factors(const Factors&) = delete;
  Factors& operator=(const Factors&) = delete;

  /// As learn::Engine's functions of these names; what invert_lower() leaves above the diagonal is not cleared.
  [[nodiscard]] bool cholesky(const learn::Matrix& a);
  void invert_lower(const learn::Matrix& a);
  void eigenvectors(const learn::Matrix& a);

 private:
  struct Library;

  /// Room for a call: `device_bytes` here, `host_bytes` there.
  void reserve(std::size_t device_bytes, std::size_t host_bytes);
  /// What the last call reports; waits for it.
  [[nodiscard]] int report() const;

  std::shared_ptr<const Library> library_;
  cudaStream_t stream_;
  std::shared_ptr<cusolverDnContext> handle_;
  std::shared_ptr<cusolverDnParams> parameters_;
  DeviceBuffer device_;
  std::vector<std::byte> host_;
  DeviceBuffer info_;
};

}  // namespace halftone::cuda
