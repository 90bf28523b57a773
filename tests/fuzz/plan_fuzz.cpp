// A whole plan: one byte of options, the JSON of a header and, after a NUL, the text of every
// `.comfy_quant` tensor in it.  Each plan must account for every tensor and every byte.
#include <algorithm>
#include <string>
#include <vector>

#include <halftone/edit.hpp>
#include <halftone/migrate.hpp>
#include <halftone/plan.hpp>

#include "base/text.hpp"
#include "formats/layer_names.hpp"
#include "fuzz_target.hpp"

namespace halftone::fuzz {
namespace {

/// Every action but quantize by default, each on names that the seeds have.
constexpr std::string_view kRules = R"({"rules": [
  {"match": {"contains": "drop"}, "action": "drop"},
  {"match": {"glob": "*.bias"}, "action": "cast", "dtype": "f16"},
  {"match": {"regex": "^cast[.]"}, "action": "cast", "dtype": "f32"},
  {"match": {"regex": "tile"}, "action": "quantize", "format": "int8-block", "block_size": 128}]})";

/// Decodes the digits of one byte: 3 · 3 · 2 · 2 · 2 · 2 = 144 combinations.
PlanOptions options_from(unsigned byte) {
  const auto digit = [&byte](unsigned base) {
    const unsigned value = byte % base;
    byte /= base;
    return value;
  };
  static const std::vector<Rule> rules = parse_rules(kRules, "rules.json");
  PlanOptions options;
  options.allow_unused = true;
  if (const unsigned choice = digit(3); choice != 0) options.indivisible = static_cast<Indivisible>(choice);
  options.heuristic = static_cast<Heuristic>(digit(3));
  options.target = static_cast<Target>(digit(2));
  options.quant_metadata = digit(2) != 0;
  options.spec.full_precision_mm = digit(2) != 0;
  if (digit(2) != 0) options.rules = rules;
  return options;
}

/// Whether the codes of a weight have its shape.
bool keeps_shape(const QuantSpec& spec) {
  if (spec.format == nullptr) return true;
  const Storage& storage = spec.format->storage();
  return storage.code_bits == 8 && storage.padding == 1 && !storage.flat;
}

/// Invariant: the jobs write each tensor of the output once, and constants fill their tensor.
void check_jobs(const Plan& plan) {
  std::vector<int> written(plan.output.tensors.size());
  std::uint32_t previous = 0;
  for (const Job& job : plan.jobs) {
    require(!job.outputs.empty() && job.outputs.front() >= previous, "jobs are not in the order of their outputs");
    previous = job.outputs.front();
    for (const std::uint32_t index : job.outputs) ++written.at(index);
    const TensorInfo& first = plan.output.tensors.at(job.outputs.front());
    if (job.kind == JobKind::constant) require(job.bytes.size() == first.bytes(), "a constant does not fill its tensor");
    require(job.inputs.empty() == (job.kind == JobKind::constant), "a job reads nothing, or a constant something");
    if (job.kind == JobKind::unnest) {
      require(job.inputs.front().info.shape == first.shape, "scales change their number");
    } else if (job.kind == JobKind::copy) {
      require(job.inputs.front().info.bytes() == first.bytes(), "a copy changes the size");
    } else if (job.kind != JobKind::constant && keeps_shape(job.spec)) {
      require((job.stored ? job.stored->shape : job.inputs.front().info.shape) == first.shape, "a weight changes its shape");
    }
  }
  for (const int times : written) require(times == 1, "a tensor of the output is not written exactly once");
}

/// Invariant: one decision for each tensor of the input, in its order, and no byte unaccounted for.
void check_decisions(const Plan& plan, const ModelIndex& model) {
  require(plan.decisions.size() == model.tensors().size() && plan.input_tensors == plan.decisions.size(), "decisions are missing");
  std::uint64_t out_bytes = 0;
  for (std::size_t i = 0; i < plan.decisions.size(); ++i) {
    const Decision& decision = plan.decisions[i];
    require(decision.tensor == model.tensors()[i].info.name, "a decision is about another tensor");
    require(!decision.rule.empty(), "a decision without a rule");
    out_bytes += decision.out_bytes;
  }
  require(out_bytes == plan.output.data_bytes(), "the decisions do not add up to the output");
}

/// Invariant: the size that the plan tells is that of a file that parse_file takes.
void check_output(const Plan& plan) {
  const std::string head = serialize(plan.output);
  require(plan.output_bytes() >= head.size(), "the size of the output does not fit 64 bits");
  require(plan.output_bytes() == head.size() + plan.output.data_bytes(), "the plan tells another size than that of the output");
  const Header again = parse_file({reinterpret_cast<const std::byte*>(head.data()), head.size()}, plan.output_bytes());
  require(again.tensors == plan.output.tensors && again.metadata == plan.output.metadata, "the output's header reads differently");
}

/// Checks what `make` plans, unless it refuses.  The input counts as accepted where a plan `counts`: an edit also
/// takes models with layers that no conversion reads.
template <class Make>
void check_plan(const ModelIndex& model, Make make, bool counts = true) {
  using enum ErrorKind;
  const auto plan = attempt({usage, unused_rule, indivisible, bad_quantization, unsupported, size_overflow}, make).value;
  if (!plan) return;
  accepted = accepted || counts;
  check_jobs(*plan);
  check_decisions(*plan, model);
  check_output(*plan);
  const std::string text = plan->to_json();
  require(base::is_utf8(text), "a plan's text is not UTF-8");
  require(make().to_json() == text, "planning twice gives other plans");
}

void check_migrations(const ModelIndex& model, const SideTexts& texts) {
  using enum Presence;
  ScaleValues scales;
  for (const ModelTensor& tensor : model.tensors()) {
    if (formats::has_suffix(tensor.info.name, formats::kLegacyScaleSuffix)) scales.emplace(tensor.info.name, 1.0F);
  }
  const std::vector<MigrateOptions> all = {{},
                                           {.input_scale = add},
                                           {.input_scale = remove},
                                           {.hybrid = add},
                                           {.hybrid = remove},
                                           {.container = Container::bnb},
                                           {.container = Container::ctq}};
  for (const MigrateOptions& options : all)
    check_plan(
        model, [&] { return build_migrate_plan(model, texts, scales, options); }, false);
}

void check_edits(const ModelIndex& model, const SideTexts& texts) {
  const std::vector<EditOptions> all = {{.add_prefix = "p."},
                                        {.drop = {"weight$"}},
                                        {.drop = {"scale"}},
                                        {.rename = {{"^(.)", "b\\1"}}},
                                        {.rename = {{"a", "b"}}},
                                        {.full_precision_mm = {"."}},
                                        {.no_full_precision_mm = {"."}},
                                        {.remove_metadata = {formats::kMetadataKey}}};
  for (const EditOptions& options : all)
    check_plan(
        model, [&] { return build_edit_plan(model, texts, options); }, false);
}

/// The same options where half of the layers lose less without their rotation.
PlanOptions with_choices(const ModelIndex& model, PlanOptions options) {
  options.rotation = Rotation::automatic;
  options.rotation_errors.emplace();
  for (const ModelTensor& tensor : model.tensors()) {
    options.rotation_errors->emplace(tensor.info.name, RotationErrors{tensor.info.name.size() % 2 == 0 ? 2.0 : 1.0, 1.5});
  }
  return options;
}

void check_model(const ModelIndex& model, const SideTexts& texts, unsigned option_byte) {
  PlanOptions options = options_from(option_byte);
  for (const FormatDescriptor* format : all_formats()) {
    options.spec.format = format;
    options.spec.input_scale = format->facts().takes_input_scale && option_byte % 2 == 0;
    for (const char* preset : {"none", "auto"}) {
      options.presets = {preset};
      check_plan(model, [&] { return build_plan(model, texts, options); });
      if (format->facts().rotation_groups.empty()) continue;
      const PlanOptions chosen = with_choices(model, options);
      check_plan(model, [&] { return build_plan(model, texts, chosen); });
    }
  }
  check_migrations(model, texts);
  check_edits(model, texts);
  for (const Dtype dtype : {Dtype::F32, Dtype::BF16}) check_plan(model, [&] { return build_dequantize_plan(model, texts, dtype); });
}

/// Bytes that a file can have at most: off_t is signed.
constexpr std::uint64_t kMaxFileBytes = (std::uint64_t{1} << 63) - 1;

}  // namespace
}  // namespace halftone::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  using namespace halftone;
  if (n_bytes == 0) return 0;
  const std::string_view text = fuzz::text_of(data + 1, n_bytes - 1);
  const std::size_t nul = std::min(text.find('\0'), text.size());
  using enum ErrorKind;
  auto header = fuzz::attempt({header_not_utf8, header_not_json, header_nesting, duplicate_tensor, tensor_offsets, size_overflow,
                               misaligned_bits, tensor_size},
                              [&] { return parse_header(text.substr(0, nul)); })
                    .value;
  if (!header || header->data_bytes() > fuzz::kMaxFileBytes - header->data_start) return 0;
  const ModelIndex model({{"model.safetensors", std::move(*header)}});
  SideTexts texts;
  for (const ModelTensor& tensor : model.tensors()) {
    const bool state = tensor.info.name.find(formats::kQuantStateSuffix) != std::string::npos;
    if (!state && !formats::has_suffix(tensor.info.name, formats::kSidecarSuffix)) continue;
    texts.emplace(tensor.info.name, text.substr(std::min(nul + 1, text.size())));
  }
  fuzz::check_model(model, texts, data[0]);
  return 0;
}
