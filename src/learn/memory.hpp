#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "learn/matrix_engine.hpp"

namespace halftone::learn {

/// Matrices and arrays of an engine that live together.
class Memory {
 public:
  explicit Memory(MatrixEngine& engine) : engine_(engine) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { engine_.count_memory(-bytes_); }

  [[nodiscard]] Matrix matrix(std::uint64_t rows, std::uint64_t columns) { return {array<float>(rows * columns), rows, columns, columns}; }
  /// One of the given elements; `unit` counts for binary16.
  [[nodiscard]] Matrix matrix(std::uint64_t rows, std::uint64_t columns, Element element, float unit = kHalfUnit) {
    if (element == Element::single) return matrix(rows, columns);
    auto* data = reinterpret_cast<float*>(array<std::uint16_t>(rows * columns));
    return {data, rows, columns, columns, element, unit};
  }
  /// A matrix with the elements at `host`, row-major without gaps.
  [[nodiscard]] Matrix matrix_of(const float* host, std::uint64_t rows, std::uint64_t columns) {
    return {array_of(host, rows * columns), rows, columns, columns};
  }
  template <class T>
  [[nodiscard]] T* array(std::uint64_t n) {
    buffers_.push_back(engine_.allocate(n * sizeof(T)));
    const auto bytes = static_cast<std::int64_t>(n * sizeof(T));
    bytes_ += bytes;
    engine_.count_memory(bytes);
    return static_cast<T*>(buffers_.back()->data());
  }
  template <class T>
  [[nodiscard]] T* array_of(const T* host, std::uint64_t n) {
    T* data = array<T>(n);
    engine_.upload(host, data, n * sizeof(T));
    return data;
  }

 private:
  MatrixEngine& engine_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::int64_t bytes_ = 0;
};

}  // namespace halftone::learn
