#include <nlohmann/json.hpp>

#include <halftone/plan.hpp>

namespace halftone {
namespace {

using nlohmann::ordered_json;

/// Raised when the meaning of a plan's text changes.
constexpr int kPlanRevision = 4;

std::string_view name_of(JobKind kind) {
  switch (kind) {
    case JobKind::copy: return "copy";
    case JobKind::constant: return "constant";
    case JobKind::cast: return "cast";
    case JobKind::quantize: return "quantize";
    case JobKind::dequantize: return "dequantize";
    case JobKind::recode: return "recode";
    case JobKind::largest_scale: return "largest_scale";
    case JobKind::unnest: return "unnest";
  }
  return {};
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

ordered_json spec_json(const QuantSpec& spec) {
  ordered_json json = {{"format", spec.format->name()}};
  if (spec.block_size != 0) json["block_size"] = spec.block_size;
  if (spec.rotation_group != 0) json["rotation_group"] = spec.rotation_group;
  if (spec.group_size != 0) json["group_size"] = spec.group_size;
  if (spec.double_quant) json["double_quant"] = true;
  if (spec.scales == ScaleMethod::search) json["scales"] = "search";
  return json;
}

ordered_json optimizer_json(const OptimizerSettings& settings) {
  const ScheduleOptions& schedule = settings.schedule;
  const StopRule& stop = schedule.stop;
  return {{"optimizer", static_cast<int>(settings.optimizer)},
          {"variant", {settings.variant.speed, settings.variant.schedule_free}},
          {"full_loss", settings.full_loss},
          {"scales", {static_cast<int>(settings.scales), settings.scale_rounds}},
          {"schedule", static_cast<int>(schedule.schedule)},
          {"iterations", schedule.iterations},
          {"rate", {schedule.rate, schedule.gamma, schedule.factor, schedule.smallest_rate}},
          {"waits", {schedule.patience, schedule.cooldown, schedule.warm_up}},
          {"shape_influence", schedule.shape_influence},
          {"threshold", {schedule.threshold, static_cast<int>(schedule.threshold_mode)}},
          {"resets", schedule.resets},
          {"stop", {stop.loss, stop.rate, stop.stall, stop.judges_best, stop.strict, stop.zero_disables}}};
}

ordered_json recipe_json(const LearnRecipe& recipe) {
  ordered_json json = {{"method", name_of(recipe.method)},
                       {"effort", static_cast<int>(recipe.effort)},
                       {"rank", {recipe.rank.top_p, recipe.rank.min_k, recipe.rank.max_k}},
                       {"seed", recipe.seed}};
  if (recipe.damping) json["damping"] = *recipe.damping;
  if (recipe.mse_budget) json["mse_budget"] = *recipe.mse_budget;
  if (recipe.prior_weights) json["prior_weights"] = true;
  if (recipe.method == LearnMethod::optimizer) json["optimizer"] = optimizer_json(recipe.optimizer);
  const LayerStatistics& statistics = recipe.statistics;
  for (const auto* tensor : {&statistics.second_moment, &statistics.diagonal, &statistics.mean, &statistics.count, &statistics.cross_moment,
                             &statistics.mean_quantized}) {
    if (*tensor) json["statistics"].push_back((*tensor)->info.name);
  }
  if (recipe.lora_rank != 0) json["lora_rank"] = recipe.lora_rank;
  if (recipe.bias) json["bias"] = {recipe.bias->info.name, static_cast<int>(recipe.bias_correction)};
  return json;
}

ordered_json tensor_json(const TensorInfo& tensor) {
  return {{"name", tensor.name}, {"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}, {"begin", tensor.begin}, {"end", tensor.end}};
}

ordered_json job_json(const Job& job, const Header& output) {
  ordered_json json = {{"kind", name_of(job.kind)}};
  if (job.spec.format != nullptr) json["spec"] = spec_json(job.spec);
  if (job.learn) json["learn"] = recipe_json(*job.learn);
  if (job.stored) json["stored"] = {{"spec", spec_json(job.stored->spec)}, {"shape", job.stored->shape}};
  if (job.stored && job.stored->spec.double_quant) json["stored"]["nested_offset"] = job.stored->nested_offset;
  for (const ModelTensor& input : job.inputs) json["inputs"].push_back({{"name", input.info.name}, {"shard", input.shard}});
  for (const std::uint32_t index : job.outputs) json["outputs"].push_back(output.tensors[index].name);
  if (job.kind == JobKind::constant) json["bytes"] = hex(job.bytes);
  return json;
}

ordered_json decision_json(const Decision& decision) {
  return {{"tensor", decision.tensor}, {"action", name_of(decision.action)}, {"rule", decision.rule}, {"reason", decision.reason}};
}

}  // namespace

std::string Plan::to_json() const {
  ordered_json json = {{"revision", kPlanRevision}, {"input", input_digest}, {"preset", preset}, {"metadata", output.metadata}};
  if (!statistics_digest.empty()) json["statistics"] = statistics_digest;
  json["output"] = {{"bytes", output_bytes()}, {"tensors", ordered_json::array()}};
  for (const TensorInfo& tensor : output.tensors) json["output"]["tensors"].push_back(tensor_json(tensor));
  for (const OutputShard& shard : shards) {
    ordered_json names = ordered_json::array();
    for (const TensorInfo& tensor : shard.header.tensors) names.push_back(tensor.name);
    json["shards"].push_back({{"name", shard.name}, {"tensors", std::move(names)}});
  }
  for (const Decision& decision : decisions) json["decisions"].push_back(decision_json(decision));
  for (const Job& job : jobs) json["jobs"].push_back(job_json(job, output));
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace halftone
