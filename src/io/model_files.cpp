#include "io/model_files.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include <re2/re2.h>

#include <halftone/codec/half.hpp>

#include "base/fail.hpp"
#include "io/paths.hpp"
#include "io/shard_index.hpp"

namespace halftone::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexSuffix = ".index.json";
constexpr std::uint64_t kMaxSideBytes = 64 * 1024;

/// Runs `work`, naming `path` in front of the sentence of any error.
template <class Work>
auto blaming(const fs::path& path, Work work) {
  try {
    return work();
  } catch (const Error& error) {
    fail(error.kind(), "'{}': {}", path.string(), error.what());
  }
}

struct Opened {
  std::optional<FileId> index_id;  ///< of the shard index, where there is one
  std::vector<MappedFile> files;
  std::vector<ModelIndex::Shard> shards;

  void add(const fs::path& path) {
    files.emplace_back(path);
    const auto bytes = files.back().bytes();
    // Only the header is touched: parse_file looks at no more than the length field allows.
    shards.push_back({path.filename().string(), blaming(path, [&] { return parse_file(bytes, bytes.size()); })});
    files.back().check();
  }
};

Opened open_index(const fs::path& path) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  const WeightMap map = blaming(path, [&] { return parse_shard_index(text); });
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map) names.insert(shard);
  Opened opened;
  opened.index_id = file.id();
  for (const std::string& name : names) {
    const fs::path shard = path.parent_path() / name;
    if (!io::exists(shard)) fail(ErrorKind::shard_missing, "'{}' names the shard '{}', which does not exist", path.string(), name);
    opened.add(shard);
  }
  blaming(path, [&] { check_shards(map, opened.shards); });
  return opened;
}

/// "model" and 3 of "model-00002-of-00003.safetensors"; nothing for other names.
struct ShardName {
  std::string stem;
  unsigned long count = 0;
};
std::optional<ShardName> parse_shard_name(const std::string& name) {
  static const RE2 pattern("(.+)-\\d{5}-of-(\\d{5})\\.safetensors");
  ShardName parsed;
  if (!RE2::FullMatch(name, pattern, &parsed.stem, &parsed.count)) return std::nullopt;
  return parsed;
}

/// True where `models` are exactly the shards of one model.
bool is_shard_set(const std::vector<fs::path>& models) {
  const auto first = models.empty() ? std::nullopt : parse_shard_name(models.front().filename().string());
  if (!first || first->count != models.size()) return false;
  return std::all_of(models.begin(), models.end(), [&](const fs::path& path) {
    const auto name = parse_shard_name(path.filename().string());
    return name && name->stem == first->stem && name->count == first->count;
  });
}

/// The files of a folder that make one model: an index, or one file, or a whole set of shards.
std::vector<fs::path> model_in_folder(const fs::path& folder) {
  std::vector<fs::path> indices;
  std::vector<fs::path> models;
  for (const fs::path& entry : entries_of(folder)) {
    const std::string name = entry.filename().string();
    if (name.ends_with(kIndexSuffix)) indices.push_back(entry);
    if (name.ends_with(".safetensors")) models.push_back(entry);
  }
  if (indices.size() == 1) return indices;
  const auto shard = models.size() == 1 ? parse_shard_name(models.front().filename().string()) : std::nullopt;
  if (shard && shard->count > 1) {
    fail(ErrorKind::shard_missing, "the folder '{}' holds one of {} shards of '{}'; name the file to convert it alone", folder.string(),
         shard->count, shard->stem);
  }
  if (indices.empty() && (models.size() == 1 || is_shard_set(models))) return models;
  const char* why = !indices.empty() ? "several shard indices"
                    : models.empty() ? "no safetensors file"
                                     : "several safetensors files that are no complete set of shards";
  fail(ErrorKind::no_model, "the folder '{}' holds {}{}", folder.string(), why,
       indices.empty() && models.empty() ? "" : "; name the file to read");
}

Opened open_path(const fs::path& path) {
  if (path.filename().string().ends_with(".json")) return open_index(path);
  Opened opened;
  if (!is_folder(path)) {
    opened.add(path);
    return opened;
  }
  const std::vector<fs::path> parts = model_in_folder(path);
  if (parts.front().filename().string().ends_with(".json")) return open_index(parts.front());
  for (const fs::path& part : parts) opened.add(part);
  return opened;
}

}  // namespace

ModelFiles::ModelFiles(const fs::path& path) : path_(path) {
  Opened opened = open_path(path);
  index_id_ = opened.index_id;
  files_ = std::move(opened.files);
  index_ = blaming(path, [&] { return ModelIndex(std::move(opened.shards)); });
}

ModelFiles::ModelFiles(const std::vector<Part>& parts) : path_(parts.front().path) {
  std::vector<ModelIndex::Shard> shards;
  for (const Part& part : parts) {
    files_.emplace_back(part.path);
    shards.push_back({part.path.filename().string(), part.header});
  }
  index_ = ModelIndex(std::move(shards));
}

std::vector<FileId> ModelFiles::ids() const {
  std::vector<FileId> ids;
  if (index_id_) ids.push_back(*index_id_);
  for (const MappedFile& file : files_) ids.push_back(file.id());
  return ids;
}

std::span<const std::byte> ModelFiles::bytes(const ModelTensor& tensor) const noexcept {
  const std::uint64_t start = index_.shards()[tensor.shard].header.data_start;
  return files_[tensor.shard].bytes().subspan(start + tensor.info.begin, tensor.info.bytes());
}

SideTexts ModelFiles::side_texts() const {
  SideTexts texts;
  for (const ModelTensor& tensor : index_.tensors()) {
    if (!is_side_text(tensor.info.name)) continue;
    const auto data = bytes(tensor);
    if (data.size() > kMaxSideBytes) {
      fail(ErrorKind::bad_quantization, "'{}': the tensor '{}' has {} bytes, at most {} expected", path_.string(), tensor.info.name,
           data.size(), kMaxSideBytes);
    }
    texts.emplace(tensor.info.name, std::string(reinterpret_cast<const char*>(data.data()), data.size()));
  }
  return texts;
}

std::map<std::string, float, std::less<>> ModelFiles::scalars(std::string_view suffix) const {
  std::map<std::string, float, std::less<>> values;
  for (const ModelTensor& tensor : index_.tensors()) {
    if (!tensor.info.name.ends_with(suffix) || element_count(tensor.info.shape) != 1) continue;
    const auto raw = [&](auto value) {
      std::memcpy(&value, bytes(tensor).data(), sizeof value);
      return value;
    };
    switch (tensor.info.dtype) {
      case Dtype::F32: values.emplace(tensor.info.name, raw(float{})); break;
      case Dtype::BF16: values.emplace(tensor.info.name, codec::Bf16::decode(raw(std::uint16_t{}))); break;
      case Dtype::F16: values.emplace(tensor.info.name, codec::F16::decode(raw(std::uint16_t{}))); break;
      default: break;
    }
  }
  return values;
}

void ModelFiles::check() const {
  for (const MappedFile& file : files_) file.check();
}

}  // namespace halftone::io
