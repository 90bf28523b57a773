#include <algorithm>

#include <halftone/model.hpp>

#include "base/fail.hpp"
#include "base/hash.hpp"

namespace halftone {

ModelIndex::ModelIndex(std::vector<Shard> shards) : shards_(std::move(shards)) {
  for (std::uint32_t i = 0; i < shards_.size(); ++i) {
    const Header& header = shards_[i].header;
    for (const TensorInfo& info : header.tensors) tensors_.push_back({info, i});
    has_metadata_ = has_metadata_ || header.has_metadata;
    for (const auto& [key, value] : header.metadata) {
      const auto [entry, fresh] = metadata_.emplace(key, value);
      if (!fresh && entry->second != value) {
        fail(ErrorKind::metadata_conflict, "the metadata key '{}' is '{}' in '{}' and '{}' in another shard", key, value, shards_[i].name,
             entry->second);
      }
    }
  }
  std::sort(tensors_.begin(), tensors_.end(), [](const ModelTensor& a, const ModelTensor& b) { return a.info.name < b.info.name; });
  const auto twice = std::adjacent_find(tensors_.begin(), tensors_.end(),
                                        [](const ModelTensor& a, const ModelTensor& b) { return a.info.name == b.info.name; });
  if (twice != tensors_.end()) {
    fail(ErrorKind::duplicate_tensor, "the tensor '{}' is in '{}' and again in '{}'", twice->info.name, shards_[twice->shard].name,
         shards_[(twice + 1)->shard].name);
  }
}

const ModelTensor* ModelIndex::find(std::string_view name) const noexcept {
  const auto found = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                      [](const ModelTensor& tensor, std::string_view key) { return tensor.info.name < key; });
  return found != tensors_.end() && found->info.name == name ? &*found : nullptr;
}

std::uint64_t ModelIndex::file_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.header.file_bytes();
  return sum;
}

std::string ModelIndex::digest() const {
  std::string all;
  for (const Shard& shard : shards_) all += base::digest(serialize(shard.header));
  return base::digest(all);
}

}  // namespace halftone
