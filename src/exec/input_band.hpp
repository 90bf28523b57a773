#pragma once

#include <cstdint>
#include <span>

#include "io/model_files.hpp"

namespace halftone::exec {

/// A piece of an input tensor while a task reads it: brought in ahead, dropped from the page
/// table afterwards so that the resident part of a huge model stays small.
class InputBand {
 public:
  /// Bytes [begin, begin + n_bytes) of `tensor`; `again` says that they will be read once more.
  InputBand(const io::ModelFiles& files, const ModelTensor& tensor, std::uint64_t begin, std::uint64_t n_bytes, bool again = false)
      : file_(files.files()[tensor.shard]), bytes_(files.bytes(tensor).subspan(begin, n_bytes)), again_(again) {
    if (!bytes_.empty()) file_.prefetch(bytes_);
  }
  InputBand(const InputBand&) = delete;
  InputBand& operator=(const InputBand&) = delete;
  ~InputBand() {
    if (!bytes_.empty() && !again_) file_.release(bytes_);
  }

  [[nodiscard]] const std::byte* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  /// Says that the bytes will not be read again after all.
  void read_last() noexcept { again_ = false; }
  /// Throws input_changed where bytes of the file were lost while the band was read.
  void check() const { file_.check(); }

 private:
  const io::MappedFile& file_;
  std::span<const std::byte> bytes_;
  bool again_;
};

}  // namespace halftone::exec
