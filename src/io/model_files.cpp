#include "io/model_files.hpp"

#include <algorithm>
#include <set>

#include "base/fail.hpp"
#include "io/shard_index.hpp"

namespace halftone::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexSuffix = ".index.json";
constexpr std::uint64_t kMaxSideBytes = 64 * 1024;

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

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
  for (const std::string& name : names) {
    const fs::path shard = path.parent_path() / name;
    if (!fs::exists(shard)) fail(ErrorKind::shard_missing, "'{}' names the shard '{}', which does not exist", path.string(), name);
    opened.add(shard);
  }
  blaming(path, [&] { check_shards(map, opened.shards); });
  return opened;
}

/// The index, or the only safetensors file, of a folder.
fs::path model_in_folder(const fs::path& folder) {
  std::vector<fs::path> indices;
  std::vector<fs::path> models;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (ends_with(name, kIndexSuffix)) indices.push_back(entry.path());
    if (ends_with(name, ".safetensors")) models.push_back(entry.path());
  }
  if (indices.size() == 1) return indices.front();
  if (indices.empty() && models.size() == 1) return models.front();
  const char* why = !indices.empty() ? "several shard indices" : models.empty() ? "no safetensors file" : "several safetensors files and no index";
  fail(ErrorKind::no_model, "the folder '{}' holds {}; name the file to read", folder.string(), why);
}

Opened open_path(const fs::path& path) {
  if (fs::is_directory(path)) return open_path(model_in_folder(path));
  if (ends_with(path.filename().string(), ".json")) return open_index(path);
  Opened opened;
  opened.add(path);
  return opened;
}

}  // namespace

ModelFiles::ModelFiles(const fs::path& path) : path_(path) {
  Opened opened = open_path(path);
  files_ = std::move(opened.files);
  index_ = blaming(path, [&] { return ModelIndex(std::move(opened.shards)); });
}

std::vector<FileId> ModelFiles::ids() const {
  std::vector<FileId> ids;
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
    if (!ends_with(tensor.info.name, ".comfy_quant")) continue;
    const auto data = bytes(tensor);
    if (data.size() > kMaxSideBytes) {
      fail(ErrorKind::bad_quantization, "'{}': the tensor '{}' has {} bytes, at most {} expected", path_.string(),
           tensor.info.name, data.size(), kMaxSideBytes);
    }
    texts.emplace(tensor.info.name, std::string(reinterpret_cast<const char*>(data.data()), data.size()));
  }
  return texts;
}

void ModelFiles::check() const {
  for (const MappedFile& file : files_) file.check();
}

}  // namespace halftone::io
