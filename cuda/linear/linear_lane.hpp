#pragma once

#include <array>
#include <mutex>

#include <halftone/dtype.hpp>

#include "linear/library_products.hpp"
#include "runtime/stream.hpp"

namespace halftone::cuda {

/// What a lane has room for, each in a buffer of its own.
enum class Room : std::uint8_t {
  given,      ///< inputs and outputs as the caller has them
  inputs,     ///< inputs in BF16
  prepared,   ///< inputs after rotation and rounding, in BF16
  rotated,    ///< inputs after rotation, in F32
  codes,      ///< of the inputs
  scales,     ///< of the inputs
  tiles,      ///< their scales in tiles
  weight,     ///< a decoded weight
  unrotated,  ///< one in F32
  sums,       ///< products that an epilogue reads
  outputs,
  count
};

/// The first of the lane's words for a factor of a product, and a 0 behind it.
constexpr std::size_t kFactorWords = 4;

/// Where linear layers of one device run: a stream, the products of the library, and the memory that lies between kernels.  Its
/// buffers grow to what the largest layer needs.
class LinearLane {
 public:
  explicit LinearLane(int device);

  [[nodiscard]] cudaStream_t stream() const noexcept { return stream_.get(); }
  [[nodiscard]] const Stream& whole_stream() const noexcept { return stream_; }
  [[nodiscard]] int device() const noexcept { return device_; }
  /// 90 for compute capability 9.0.
  [[nodiscard]] int architecture() const noexcept { return architecture_; }
  [[nodiscard]] LibraryProducts& products() noexcept { return products_; }
  /// Held by whoever puts work into the lane.
  [[nodiscard]] std::mutex& mutex() noexcept { return mutex_; }

  /// Eight words for magnitudes and factors.
  [[nodiscard]] std::uint32_t* words() const noexcept { return words_.as<std::uint32_t>(); }
  /// Room for `n` elements, aligned to 256 bytes.
  template <class T>
  [[nodiscard]] T* room(Room which, std::uint64_t n) {
    return reinterpret_cast<T*>(reserve(which, n * sizeof(T)));
  }

  /// The product with a bias of F32, and its rounding to BF16; y is BF16 or F32 (`y_type`).  False, and nothing done, where the
  /// library has no algorithm.
  struct Bias {
    const float* exact = nullptr;            ///< null for none
    const std::uint16_t* rounded = nullptr;  ///< the same in BF16
  };
  [[nodiscard]] bool multiply(LibraryProduct product, const Bias& bias, Dtype y_type, void* y);

 private:
  [[nodiscard]] std::byte* reserve(Room which, std::uint64_t n_bytes);

  int device_;
  int architecture_;
  Stream stream_;
  LibraryProducts products_;
  DeviceBuffer words_;
  std::mutex mutex_;
  std::array<DeviceBuffer, static_cast<std::size_t>(Room::count)> rooms_;
};

/// Makes `device` the current one of the thread.
int use_device(int device);

}  // namespace halftone::cuda
