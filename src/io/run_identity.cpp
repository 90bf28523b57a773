#include "io/run_identity.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace halftone::io {
namespace {

using nlohmann::ordered_json;

/// Raised when the meaning of a journal changes.
constexpr int kRevision = 2;

std::string input_difference(const std::vector<InputState>& then, const std::vector<InputState>& now) {
  for (const InputState& input : now) {
    const auto before = std::find_if(then.begin(), then.end(), [&](const InputState& state) { return state.path == input.path; });
    if (before == then.end()) return fmt::format("the input '{}' is not one that it read", input.path);
    if (*before != input) return fmt::format("the input '{}' has changed since then", input.path);
  }
  return then == now ? "" : "it read more input files";
}

std::string option_difference(const std::map<std::string, std::string>& then, const std::map<std::string, std::string>& now) {
  for (const auto& [name, value] : now) {
    const auto before = then.find(name);
    if (before == then.end()) return fmt::format("the option {} differs: it was not given then", name);
    if (before->second != value) return fmt::format("the option {} differs: it was '{}' then", name, before->second);
  }
  for (const auto& [name, value] : then) {
    if (!now.contains(name)) return fmt::format("the option {} differs: it was '{}' then, and is not given now", name, value);
  }
  return {};
}

std::string output_difference(const std::vector<std::string>& then, const std::vector<std::string>& now) {
  for (const std::string& name : then) {
    if (std::find(now.begin(), now.end(), name) == now.end()) return fmt::format("it wrote '{}', and this run would not", name);
  }
  return then == now ? "" : "it wrote fewer files";
}

}  // namespace

std::string RunIdentity::to_line() const {
  // The mark comes first, so that a torn line is known, too.
  ordered_json json = {
      {"halftone_journal", kRevision}, {"version", version}, {"plan", plan}, {"device", device}, {"inputs", ordered_json::array()}};
  for (const InputState& input : inputs) {
    json["inputs"].push_back({{"path", input.path}, {"bytes", input.n_bytes}, {"modified_ns", input.modified_ns}});
  }
  json["outputs"] = outputs;
  json["options"] = options;
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::optional<RunIdentity> RunIdentity::from_line(std::string_view line) {
  try {
    const auto json = nlohmann::json::parse(line);
    if (json.at("halftone_journal") != kRevision) return std::nullopt;
    RunIdentity identity{.version = json.at("version"), .plan = json.at("plan"), .device = json.at("device")};
    identity.outputs = json.at("outputs").get<std::vector<std::string>>();
    identity.options = json.at("options").get<std::map<std::string, std::string>>();
    for (const auto& input : json.at("inputs")) {
      identity.inputs.push_back({input.at("path"), input.at("bytes"), input.at("modified_ns")});
    }
    return identity;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::string difference(const RunIdentity& then, const RunIdentity& now) {
  if (then.version != now.version) return fmt::format("it was made by halftone {}, and this is {}", then.version, now.version);
  if (then.device != now.device) {
    return fmt::format("learned rounding gives other codes on another kind of device: it ran on '{}', and this is '{}'", then.device,
                       now.device);
  }
  if (std::string inputs = input_difference(then.inputs, now.inputs); !inputs.empty()) return inputs;
  // Options may be written in several ways that mean the same: only the plan tells.
  if (then.plan == now.plan) return output_difference(then.outputs, now.outputs);
  if (std::string options = option_difference(then.options, now.options); !options.empty()) return options;
  return "its options lead to another plan now: a rules file, an example or the program has changed";
}

}  // namespace halftone::io
