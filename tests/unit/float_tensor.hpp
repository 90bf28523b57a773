#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "support/model_file.hpp"

namespace halftone::test {

/// The bytes of `values`, one after the other.
template <class T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// The values that `bytes` hold.
template <class T>
std::vector<T> values_of(const std::string& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

/// A binary32 tensor for write_model().
inline TensorBytes f32(std::string name, Shape shape, const std::vector<float>& values) {
  return {TensorInfo{std::move(name), Dtype::F32, std::move(shape)}, bytes_of(values)};
}

}  // namespace halftone::test
