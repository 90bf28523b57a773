#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/safetensors.hpp>

namespace halftone {

/// The texts of a model's small tensors that describe quantized layers (`.comfy_quant`, and
/// `.quant_state.bitsandbytes__…` of NF4 and FP4), by full tensor name.
using SideTexts = std::map<std::string, std::string, std::less<>>;

/// Whether a tensor of this name holds such a text.
[[nodiscard]] bool is_side_text(std::string_view name) noexcept;

/// A tensor and the file of the model that holds it.
struct ModelTensor {
  TensorInfo info;
  std::uint32_t shard = 0;  ///< index into ModelIndex::shards
  friend bool operator==(const ModelTensor&, const ModelTensor&) = default;
};

/// One safetensors file or many shards, seen as one model; headers only, no tensor data.
class ModelIndex {
 public:
  struct Shard {
    std::string name;  ///< file name, for messages
    Header header;
  };

  ModelIndex() = default;
  /// Throws duplicate_tensor or metadata_conflict where the shards contradict each other.
  explicit ModelIndex(std::vector<Shard> shards);

  [[nodiscard]] const std::vector<Shard>& shards() const noexcept { return shards_; }
  /// Sorted by name, byte-wise.
  [[nodiscard]] const std::vector<ModelTensor>& tensors() const noexcept { return tensors_; }
  /// The tensor called `name`, or null.
  [[nodiscard]] const ModelTensor* find(std::string_view name) const noexcept;
  [[nodiscard]] const Metadata& metadata() const noexcept { return metadata_; }
  [[nodiscard]] bool has_metadata() const noexcept { return has_metadata_; }
  /// Bytes of all files together.
  [[nodiscard]] std::uint64_t file_bytes() const noexcept;
  /// Identity of all headers: names, types, shapes, offsets, metadata.
  [[nodiscard]] std::string digest() const;

 private:
  std::vector<Shard> shards_;
  std::vector<ModelTensor> tensors_;
  Metadata metadata_;
  bool has_metadata_ = false;
};

}  // namespace halftone
