#include "verify/contents.hpp"

#include "formats/layer_names.hpp"

namespace halftone::verify {

Contents::Contents(const ModelIndex& index, const SideTexts& side_texts, Findings& findings) : model(index), texts(side_texts) {
  const auto report = [&](const std::string& layer, const Error& error) {
    broken.insert(layer);
    findings.problem(layer, error.what());
  };
  of_tensors = formats::facts_of_tensors(texts, report);
  of_header = formats::facts_of_header(model, report);
  layers = formats::find_quantized_layers(model, texts, [](const std::string&, const Error&) {});
}

const formats::StoredFacts* Contents::facts(const std::string& base) const {
  if (const auto found = of_header.find(base); found != of_header.end()) return &found->second;
  const auto found = of_tensors.find(base);
  return found == of_tensors.end() ? nullptr : &found->second;
}

const ModelTensor* Contents::tensor(std::string_view base, std::string_view suffix) const {
  return model.find(formats::joined(base, suffix));
}

}  // namespace halftone::verify
