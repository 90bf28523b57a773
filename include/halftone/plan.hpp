#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <halftone/example.hpp>
#include <halftone/format.hpp>
#include <halftone/learn.hpp>
#include <halftone/model.hpp>
#include <halftone/rule.hpp>

namespace halftone {

/// Layers that are not worth quantizing.
enum class Heuristic : std::uint8_t {
  none,
  size,       ///< convert_to_quant's rule of December 2025: too small, too oblong or indivisible
  divisible,  ///< its rule of July 2026: indivisible only
};

/// What happens to a layer whose shape the format does not take: that the block size or the rotation
/// group does not divide.
enum class Indivisible : std::uint8_t {
  error,
  keep,   ///< the layer keeps its precision
  plain,  ///< the layer takes the plain form of the format: the same codes with one scale per row
};

/// Which layers of a rotated format are rotated.
enum class Rotation : std::uint8_t {
  always,
  automatic,  ///< those that lose less so; the others take the plain form of the format, where it has one
};

/// What a layer loses when it is rounded to nearest, with the rotation of its format and in its plain form.
struct RotationErrors {
  double rotated = 0;     ///< the sum of squared errors; infinite where rotated weights exceed binary32
  double plain = 0;       ///< the same without rotation
  bool weighted = false;  ///< each square has the weight of the mean square of its column's input

  [[nodiscard]] bool rotation_wins() const noexcept { return rotated < plain; }
};

/// The loader that must be able to run the output.
enum class Target : std::uint8_t { comfyui, none };

/// An output of several files.
struct Sharding {
  std::uint64_t max_bytes = 0;  ///< of the data of a file
  std::string stem;             ///< "model": what the names of the files begin with
};

/// What random numbers begin with unless the user decides.
inline constexpr std::uint64_t kDefaultSeed = 20'251'201;

/// Everything a user may decide about a conversion except where and how fast it runs.
struct PlanOptions {
  QuantSpec spec;                               ///< its format may be null where there is an example
  std::optional<Example> like;                  ///< decides the layers that it has
  std::vector<std::string> presets = {"auto"};  ///< "auto", "none", or names
  std::vector<std::string> include;             ///< RE2, searched in the full name
  std::vector<std::string> exclude;
  std::vector<Rule> rules;
  bool allow_unused = false;
  Heuristic heuristic = Heuristic::none;
  Rotation rotation = Rotation::always;
  /// For Rotation::automatic, by tensor; nothing: every layer counts as rotated.  convert() and plan_conversion() measure them.
  std::optional<std::map<std::string, RotationErrors>> rotation_errors;
  std::optional<Indivisible> indivisible;  ///< nothing: what the format says (FormatFacts::keeps_unfit)
  Target target = Target::comfyui;
  bool quant_metadata = false;
  std::optional<Sharding> sharding;   ///< nothing: one file
  std::optional<LearnOptions> learn;  ///< nothing: each code is the nearest
  std::optional<Statistics> statistics;
  BiasCorrection bias_correction = BiasCorrection::none;
  std::uint64_t seed = kDefaultSeed;  ///< of all that is random in learned rounding
  std::uint64_t lora_rank = 0;        ///< of the low-rank corrections that are written beside the output; 0: none are
};

/// What was decided for one tensor of the input, and why.
struct Decision {
  std::string tensor;
  Action action = Action::keep;
  QuantSpec spec;      ///< quantize
  Dtype dtype{};       ///< cast
  bool layer = false;  ///< a two-dimensional `*.weight`
  std::string rule;    ///< what decided: "preset flux2: contains 'img_in'"
  std::string reason;
  std::optional<RotationErrors> rotation;  ///< what decided whether the layer is rotated, where that was asked
  std::uint64_t in_bytes = 0;
  std::uint64_t out_bytes = 0;
};

enum class JobKind : std::uint8_t {
  copy,
  constant,
  cast,
  quantize,
  dequantize,
  recode,         ///< codes in the order of another layout
  largest_scale,  ///< of the scales of a layer
  unnest,         ///< scales of a layer that are quantized themselves, as F32
};

/// How the weight of a job is stored in the input, where it is quantized there.
struct StoredWeight {
  QuantSpec spec;
  Shape shape;              ///< of the dequantized weight
  std::vector<Role> roles;  ///< what the inputs of the job hold; the codes first
  float nested_offset = 0;  ///< StoredSpec::nested_offset
};

/// Where the factors of a low-rank correction are: indices into Plan::lora's tensors.
struct LowRank {
  std::uint32_t up = 0;
  std::uint32_t down = 0;
};

/// A unit of work: reads input tensors, writes whole output tensors.
struct Job {
  JobKind kind{};
  QuantSpec spec;                      ///< how the weight is written; of copies and constants nothing
  std::vector<ModelTensor> inputs;     ///< the weight first
  std::vector<std::uint32_t> outputs;  ///< indices into Plan::output.tensors, the weight first
  std::vector<Role> roles;             ///< quantize: what the outputs hold; the codes first
  std::optional<LearnRecipe> learn;    ///< quantize: nothing for rounding to nearest with plain scales
  std::optional<LowRank> lora;         ///< quantize: the correction of what is lost, in the second file
  std::optional<StoredWeight> stored;  ///< dequantize, recode, and quantize of a weight that is quantized already
  std::string bytes;                   ///< constant; quantize: of Role::nested_state
};

/// The shape of the weight of `job` as values, however it is stored in the input.
[[nodiscard]] inline const Shape& weight_shape(const Job& job) { return job.stored ? job.stored->shape : job.inputs[0].info.shape; }
/// The type of the values that the weight of `job` is read as.
[[nodiscard]] inline Dtype source_dtype(const Job& job) { return job.stored ? Dtype::F32 : job.inputs[0].info.dtype; }

/// Something that is done to a layer, the metadata or another part of a file that is edited or migrated.
struct Change {
  std::string subject;  ///< a layer's name without ".weight", a tensor's name, or "metadata"
  std::string what;
};

/// One of the files of an output that is cut.
struct OutputShard {
  std::string name;  ///< "model-00001-of-00003.safetensors"
  Header header;
};

/// Where a tensor of the output lies.
struct Place {
  std::uint32_t file = 0;    ///< index into Plan::shards; 0 where the output is one file
  std::uint64_t offset = 0;  ///< in that file
};

/// A whole conversion as a value: pure function of headers, rules and options.
struct Plan {
  std::string input_digest;
  std::string statistics_digest;  ///< of the statistics, empty without
  std::uint64_t input_bytes = 0;
  std::uint64_t input_tensors = 0;
  Header output;                    ///< of all tensors as one file, whether they are cut into shards or not
  std::vector<Place> places;        ///< of its tensors
  std::vector<OutputShard> shards;  ///< empty where the output is one file
  std::string index_name;           ///< of the file that says which shard has which tensor; empty without shards
  std::string index;                ///< its text
  std::optional<Header> lora;       ///< of a second file, with low-rank corrections; nothing without
  std::vector<Decision> decisions;  ///< one per input tensor, by name
  std::vector<Job> jobs;            ///< by the place of their first output
  std::string preset;               ///< "flux2", "none", "t5xxl,mistral"
  std::string preset_reason;
  std::vector<Change> changes;     ///< of an edit or a migration, in the order of the input
  bool learns = false;             ///< learned rounding was asked for, whether or not a job does it
  bool up_to_date = false;         ///< of a migration: the input is what the output would be, and nothing is written
  std::vector<std::string> notes;  ///< what the user should know, each one sentence

  /// Where `tensor` of `lora` lies: its file is counted behind those of the output.
  [[nodiscard]] Place lora_place(std::uint32_t tensor) const;
  /// Size of the output in bytes: of the file, or of the shards and their index; without the low-rank corrections.
  [[nodiscard]] std::uint64_t output_bytes() const noexcept;
  /// The plan as stable JSON text: the same plan gives the same text.
  [[nodiscard]] std::string to_json() const;
  /// Identity of to_json().
  [[nodiscard]] std::string hash() const;
};

/// Decides a conversion.  Touches no file.
/// Throws usage, unused_rule, indivisible, bad_rules, bad_quantization, unsupported.
[[nodiscard]] Plan build_plan(const ModelIndex& model, const SideTexts& texts, const PlanOptions& options);

/// Decides the way back: every quantized layer becomes `dtype` (F32, BF16 or F16).
/// Throws usage where nothing is quantized, unsupported where a layer cannot be read.
[[nodiscard]] Plan build_dequantize_plan(const ModelIndex& model, const SideTexts& texts, Dtype dtype);

}  // namespace halftone
