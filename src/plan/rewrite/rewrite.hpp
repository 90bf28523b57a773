#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"
#include "plan/plan_builder.hpp"

namespace halftone::plan {

/// What becomes of a tensor of the input.
struct Fate {
  bool dropped = false;
  std::string name;                  ///< in the output
  Dtype dtype{};                     ///< in the output
  Shape shape;                       ///< in the output
  std::optional<std::string> bytes;  ///< what is written instead of the input's bytes
  std::optional<Job> job;            ///< what computes the output's bytes, where they are not copied
  std::uint64_t added_bytes = 0;     ///< of tensors that are added for it
  std::string reason;                ///< empty where nothing changes
};

/// A file that is written anew from what it holds: tensors are copied, renamed, left out or replaced, and no
/// weight is rounded.
class Rewrite {
 public:
  /// `command` stands as the rule that decided.
  Rewrite(const ModelIndex& model, std::string command);

  /// The fate of a tensor of the input, to be changed.
  [[nodiscard]] Fate& of(const std::string& tensor) { return fates_.at(tensor); }
  void drop(const std::string& tensor, std::string reason);
  /// Writes a text in the place of a tensor.
  void replace(const std::string& tensor, std::string text, std::string reason);
  /// Adds a tensor of known bytes that the input lacks, and that belongs to `owner`, a tensor of the input.
  void add(const std::string& owner, TensorInfo tensor, std::string bytes);
  /// The same for one that `job` computes.
  void add(const std::string& owner, TensorInfo tensor, Job job);
  /// Notes something that is done.
  void change(std::string subject, std::string what);
  [[nodiscard]] const std::vector<Change>& changes() const noexcept { return changes_; }

  /// The label texts of the output, by the names there.  `texts` are those of the input.
  [[nodiscard]] SideTexts texts(const SideTexts& texts) const;
  /// The plan.  Throws bad_quantization where two tensors would have one name.
  [[nodiscard]] Plan finish(Metadata metadata, bool has_metadata) &&;

 private:
  struct Added {
    TensorInfo tensor;
    Job job;
  };

  const ModelIndex& model_;
  std::string command_;
  std::map<std::string, Fate> fates_;
  std::vector<Added> added_;
  std::vector<Change> changes_;
};

/// `model` without an entry of its metadata.
[[nodiscard]] ModelIndex without_metadata(const ModelIndex& model, const std::string& key);

}  // namespace halftone::plan
