#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <halftone/safetensors.hpp>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"

namespace halftone {
namespace {

using nlohmann::json;

/// Levels of nesting allowed inside unknown fields of an entry; real headers have none.
constexpr std::size_t kMaxDepth = 32;

/// Receives the JSON events of a header and builds the tensor list, so that duplicate keys and
/// oversized numbers are seen instead of being merged by a generic document tree.
class HeaderHandler : public nlohmann::json_sax<json> {
 public:
  explicit HeaderHandler(Header& header) : header_(header) {}

  bool start_object(std::size_t) override {
    if (enter()) return true;
    switch (state_) {
      case State::begin: state_ = State::top; return true;
      case State::top_value: state_ = in_metadata_ ? State::metadata : State::entry; return true;
      default: reject("an object where none belongs");
    }
  }

  bool end_object() override {
    if (leave()) return true;
    switch (state_) {
      case State::top: state_ = State::done; return true;
      case State::metadata: state_ = State::top; return true;
      case State::entry: finish_entry(); return true;
      default: reject("an object that ends too early");
    }
  }

  bool start_array(std::size_t) override {
    if (enter()) return true;
    if (state_ == State::entry && (field_ == "shape" || field_ == "data_offsets")) {
      state_ = State::numbers;
      numbers_.clear();
      return true;
    }
    reject("an array where none belongs");
  }

  bool end_array() override {
    if (leave()) return true;
    state_ = State::entry;
    if (field_ == "shape") {
      entry_.shape = numbers_;
    } else {
      if (numbers_.size() != 2) reject(fmt::format("{} number{} instead of 2", numbers_.size(), numbers_.size() == 1 ? "" : "s"));
      entry_.begin = numbers_[0];
      entry_.end = numbers_[1];
    }
    return true;
  }

  bool key(string_t& name) override {
    if (skip_depth_ > 0) return true;
    if (state_ == State::top) {
      begin_entry(name);
    } else if (state_ == State::metadata) {
      field_ = name;
      if (header_.metadata.count(name) != 0) reject(fmt::format("the metadata key '{}' twice", name));
    } else {
      field_ = name;
      if (is_known_field() && !seen_.insert(name).second) reject_entry(fmt::format("the field '{}' twice", name));
    }
    return true;
  }

  bool string(string_t& text) override {
    if (skip_scalar()) return true;
    if (state_ == State::metadata) {
      header_.metadata[field_] = text;
      return true;
    }
    if (state_ == State::entry && field_ == "dtype") {
      const auto dtype = dtype_from_name(text);
      if (!dtype) reject(fmt::format("the unknown type '{}'", text));
      entry_.dtype = *dtype;
      return true;
    }
    reject(fmt::format("the string '{}' where none belongs", text));
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (skip_scalar()) return true;
    if (state_ != State::numbers) reject(fmt::format("the number {}{}", value, misplaced()));
    numbers_.push_back(value);
    return true;
  }

  bool null() override {
    if (skip_scalar()) return true;
    // The reference reader takes "__metadata__": null for no metadata.
    if (state_ == State::top_value && in_metadata_) {
      header_.has_metadata = false;
      state_ = State::top;
      return true;
    }
    reject(fmt::format("null{}", misplaced()));
  }

  bool boolean(bool) override { return skip_scalar() || (reject(fmt::format("a boolean{}", misplaced())), false); }
  bool number_integer(number_integer_t value) override {
    return skip_scalar() || (reject(fmt::format("the negative number {}", value)), false);
  }
  bool number_float(number_float_t, const string_t& text) override {
    return skip_scalar() || (reject(fmt::format("the number {}, which is no 64-bit integer", text)), false);
  }
  bool binary(binary_t&) override { reject("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    fail(ErrorKind::header_not_json, "the header is not valid JSON at its byte {}", position);
  }

 private:
  enum class State { begin, top, top_value, metadata, entry, numbers, done };

  [[noreturn]] void reject(const std::string& found) const {
    if (entry_.name.empty()) fail(ErrorKind::header_not_json, "the header holds {}", found);
    if (state_ == State::numbers || (state_ == State::entry && is_known_field())) {
      fail(ErrorKind::header_not_json, "the header's entry '{}' holds {} in its field '{}'", entry_.name, found, field_);
    }
    if (state_ == State::metadata) {
      fail(ErrorKind::header_not_json, "the header's entry '__metadata__' holds {} under the key '{}', and only texts are allowed there",
           found, field_);
    }
    reject_entry(found);
  }

  [[noreturn]] void reject_entry(const std::string& found) const {
    fail(ErrorKind::header_not_json, "the header's entry '{}' holds {}", entry_.name, found);
  }

  /// What is wrong with a value where the sentence does not say it.
  [[nodiscard]] std::string_view misplaced() const { return state_ == State::metadata ? "" : " where none belongs"; }

  [[nodiscard]] bool is_known_field() const { return field_ == "dtype" || field_ == "shape" || field_ == "data_offsets"; }

  void begin_entry(const std::string& name) {
    state_ = State::top_value;
    in_metadata_ = name == "__metadata__";
    entry_ = TensorInfo{};
    entry_.name = name;
    seen_.clear();
    if (!in_metadata_) {
      if (!names_.insert(name).second) fail(ErrorKind::duplicate_tensor, "the header names the tensor '{}' twice", name);
      return;
    }
    if (metadata_seen_) reject("__metadata__ twice");
    metadata_seen_ = header_.has_metadata = true;
  }

  void finish_entry() {
    for (const char* needed : {"dtype", "shape", "data_offsets"}) {
      if (seen_.count(needed) == 0) reject_entry(fmt::format("no field '{}'", needed));
    }
    header_.tensors.push_back(std::move(entry_));
    entry_ = TensorInfo{};
    state_ = State::top;
  }

  // Unknown fields of an entry are skipped, as the format asks; a skipped container may nest.

  /// Enters a container; true where it is skipped.
  [[nodiscard]] bool enter() {
    if (++depth_ > kMaxDepth) fail(ErrorKind::header_nesting, "the header is nested deeper than {} levels", kMaxDepth);
    if (skip_depth_ == 0 && state_ == State::entry && !is_known_field()) skip_depth_ = depth_;
    return skip_depth_ > 0;
  }

  /// Leaves a container; true where it was skipped.
  [[nodiscard]] bool leave() {
    --depth_;
    if (skip_depth_ == 0) return false;
    if (depth_ < skip_depth_) skip_depth_ = 0;
    return true;
  }

  [[nodiscard]] bool skip_scalar() const { return skip_depth_ > 0 || (state_ == State::entry && !is_known_field()); }

  Header& header_;
  State state_ = State::begin;
  bool in_metadata_ = false;
  bool metadata_seen_ = false;
  std::size_t depth_ = 0;
  std::size_t skip_depth_ = 0;  ///< depth of the unknown container being skipped, 0 outside
  std::string field_;
  TensorInfo entry_;
  std::vector<std::uint64_t> numbers_;
  std::unordered_set<std::string> seen_;
  std::unordered_set<std::string> names_;
};

void check_place(const TensorInfo& tensor, std::uint64_t expected) {
  if (tensor.begin == expected && tensor.end >= tensor.begin) return;
  const char* what = tensor.end < tensor.begin ? "it ends before it begins"
                     : tensor.begin < expected ? "it overlaps the tensor before it"
                     : expected == 0           ? "there is a hole at the start of the data"
                                               : "there is a hole before it";
  fail(ErrorKind::tensor_offsets, "the tensor '{}' lies at byte offsets {} to {}, and {} was expected next: {}", tensor.name, tensor.begin,
       tensor.end, expected, what);
}

/// The whole validity of a header in one place: no holes, no overlaps, sizes as shapes say.
void validate(Header& header) {
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const TensorInfo& a, const TensorInfo& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  std::uint64_t expected = 0;
  for (const TensorInfo& tensor : header.tensors) {
    check_place(tensor, expected);
    std::uint64_t want = 0;
    try {
      want = byte_count(tensor.dtype, tensor.shape);
    } catch (const Error& error) {
      fail(error.kind(), "the tensor '{}': {}", tensor.name, error.what());
    }
    if (tensor.bytes() != want) {
      fail(ErrorKind::tensor_size, "the tensor '{}' has {} bytes, {} expected for {} {}", tensor.name, tensor.bytes(), want,
           name_of(tensor.dtype), to_string(tensor.shape));
    }
    expected = tensor.end;
  }
}

}  // namespace

Header parse_header(std::string_view text) {
  if (!base::is_utf8(text)) fail(ErrorKind::header_not_utf8, "the header is not valid UTF-8");
  // The JSON parser takes a NUL for the end of its input, and would ignore what follows.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail(ErrorKind::header_not_json, "the header holds a NUL at its byte {}, which JSON does not allow", nul);
  }
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || text[start] != '{') {
    fail(ErrorKind::header_not_json, "the header does not begin with '{{'");
  }
  Header header;
  HeaderHandler handler(header);
  json::sax_parse(text.begin(), text.end(), &handler);
  validate(header);
  header.data_start = kLengthBytes + text.size();
  if (!base::checked_add(header.data_start, header.data_bytes())) {
    fail(ErrorKind::size_overflow, "the header and the tensors together exceed 2^64 bytes");
  }
  return header;
}

}  // namespace halftone
