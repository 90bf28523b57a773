#include <map>
#include <memory>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "command.hpp"
#include "formats/stored_layers.hpp"
#include "io/model_files.hpp"
#include "output.hpp"

namespace halftone::tool {
namespace {

using formats::QuantizedLayer;
using nlohmann::ordered_json;

ordered_json inspect_json(const io::ModelFiles& files, const std::vector<QuantizedLayer>& layers) {
  const ModelIndex& model = files.index();
  ordered_json json = {{"path", files.path().string()}, {"bytes", model.file_bytes()}, {"metadata", model.metadata()}};
  json["tensors"] = ordered_json::array();
  for (const ModelIndex::Shard& shard : model.shards()) {
    for (const TensorInfo& tensor : shard.header.tensors) {
      json["tensors"].push_back(
          {{"name", tensor.name}, {"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}, {"begin", tensor.begin}, {"end", tensor.end}});
      if (model.shards().size() > 1) json["tensors"].back()["file"] = shard.name;
    }
  }
  json["layers"] = ordered_json::array();
  for (const QuantizedLayer& layer : layers) {
    json["layers"].push_back(
        {{"name", layer.base}, {"format", layer.format_name()}, {"stored_as", layer.format_text}, {"scales", layer.scale_names()}});
  }
  return json;
}

struct Count {
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;
};

std::string inspect_text(const io::ModelFiles& files, const std::vector<QuantizedLayer>& layers, bool all) {
  const ModelIndex& model = files.index();
  std::string text;
  if (all) {
    for (const ModelTensor& tensor : model.tensors()) {
      text += fmt::format("{:<8} {:<20} {}\n", name_of(tensor.info.dtype), to_string(tensor.info.shape), base::printable(tensor.info.name));
    }
  }
  text += fmt::format("{}: {} in {}, {}\n", base::printable(files.path().string()), base::counted(model.tensors().size(), "tensor"),
                      base::counted(model.shards().size(), "file"), base::human_bytes(model.file_bytes()));
  std::map<std::string_view, Count> by_type;
  for (const ModelTensor& tensor : model.tensors()) {
    Count& count = by_type[name_of(tensor.info.dtype)];
    ++count.tensors;
    count.bytes += tensor.info.bytes();
  }
  for (const auto& [type, count] : by_type) text += fmt::format("{:>6}  {:<12} {}\n", count.tensors, type, base::human_bytes(count.bytes));
  std::map<std::string, std::uint64_t> by_format;
  for (const QuantizedLayer& layer : layers) ++by_format[layer.format_name()];
  for (const auto& [format, count] : by_format)
    text += fmt::format("{:>6}  layer{} stored as {}\n", count, count == 1 ? "" : "s", base::printable(format));
  for (const auto& [key, value] : model.metadata()) {
    const std::string shown = value.size() <= 100 ? value : fmt::format("{}… ({} bytes)", value.substr(0, 80), value.size());
    text += fmt::format("metadata {}: {}\n", base::printable(key), base::printable(shown));
  }
  return text;
}

}  // namespace

void add_inspect(CLI::App& app, Session& session) {
  CLI::App* command = add_command(app, session, "inspect", "Show what a file holds: tensors, formats, sizes, metadata.",
                                  "halftone inspect flux1-dev-fp8.safetensors --summary");
  const auto input = std::make_shared<std::string>();
  const auto summary = std::make_shared<bool>(false);
  command->add_option("input", *input, "a .safetensors file, a shard index (.json), or a folder")->required()->type_name("FILE");
  command->add_flag("--summary", *summary, "do not list every tensor");
  command->callback([input, summary, &session] {
    const io::ModelFiles files(*input);
    const auto layers = formats::find_quantized_layers(files.index(), files.side_texts());
    if (session.json) {
      if (*summary) fail(ErrorKind::usage, "--summary has no effect with --json");
      print_json(inspect_json(files, layers));
    } else {
      write_out(inspect_text(files, layers, !*summary));
    }
  });
}

}  // namespace halftone::tool
