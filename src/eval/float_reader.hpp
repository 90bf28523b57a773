#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>

#include <halftone/backend.hpp>

#include "formats/stored_layers.hpp"
#include "formats/stored_matrix.hpp"
#include "io/model_files.hpp"

namespace halftone::eval {

/// The tensors of `layer`, which must be readable, in `files`, which must outlive what is returned.
[[nodiscard]] formats::StoredMatrix stored_matrix(const io::ModelFiles& files, const formats::QuantizedLayer& layer);

/// A model whose tensors can be read as binary32, quantized layers included.
class FloatModel {
 public:
  FloatModel(const std::filesystem::path& path, const Backend& backend);

  [[nodiscard]] const io::ModelFiles& files() const noexcept { return files_; }
  /// True for scales and JSON of quantized layers: no tensors of their own.
  [[nodiscard]] bool is_companion(std::string_view name) const { return companions_.count(std::string(name)) != 0; }
  /// The layer whose weight is called `name`, or null.
  [[nodiscard]] const formats::QuantizedLayer* layer(std::string_view name) const;
  /// Whether `tensor` holds numbers.  read() throws where they are stored in a way that is not known.
  [[nodiscard]] bool is_readable(const ModelTensor& tensor) const;
  /// "fp8", or the element type.
  [[nodiscard]] std::string stored_as(const ModelTensor& tensor) const;

  /// The shape of the values: of a layer before it was packed or padded.
  [[nodiscard]] Shape shape_of(const ModelTensor& tensor) const;

  /// read() begins at multiples of this many rows: the block size of a block format, else 1.
  [[nodiscard]] std::uint64_t row_multiple(const ModelTensor& tensor) const;
  /// Reads rows [first, first + count); `first` must be a multiple of row_multiple().  Rows
  /// are those of formats::extent_of().
  void read(const ModelTensor& tensor, std::uint64_t first, std::uint64_t count, float* out) const;

 private:
  io::ModelFiles files_;
  const Backend& backend_;
  std::map<std::string, formats::QuantizedLayer, std::less<>> layers_;
  std::unordered_set<std::string> companions_;
};

}  // namespace halftone::eval
