#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <halftone/safetensors.hpp>

namespace halftone::test {

/// A tensor to be written: offsets of `info` are ignored.
using TensorBytes = std::pair<TensorInfo, std::string>;

/// Writes a safetensors file with the given tensors in the writer's order.
inline void write_model(const std::filesystem::path& path, std::vector<TensorBytes> tensors, Metadata metadata = {}) {
  std::vector<TensorInfo> infos;
  for (const TensorBytes& tensor : tensors) infos.push_back(tensor.first);
  const bool has_metadata = !metadata.empty();
  const Header header = lay_out(std::move(infos), std::move(metadata), has_metadata);
  std::ofstream file(path, std::ios::binary);
  file << serialize(header);
  for (const TensorInfo& info : header.tensors) {
    for (const TensorBytes& tensor : tensors) {
      if (tensor.first.name == info.name) file << tensor.second;
    }
  }
}

/// The whole contents of a file.
inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The bytes of the tensor `name` of a safetensors file.
inline std::string tensor_bytes(const std::filesystem::path& path, const std::string& name) {
  const std::string bytes = read_bytes(path);
  const Header header = parse_file(std::as_bytes(std::span(bytes)), bytes.size());
  for (const TensorInfo& info : header.tensors) {
    if (info.name == name) return bytes.substr(header.data_start + info.begin, info.bytes());
  }
  return {};
}

}  // namespace halftone::test
