#include "api/job_journal.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "api/layer_note.hpp"
#include "base/hash.hpp"

namespace halftone::api {
namespace {

using Clock = std::chrono::steady_clock;

/// What a kill may cost beyond the jobs that are running.
constexpr Clock::duration kInterval = std::chrono::seconds(1);
/// Waiting is this many times longer than the syncing before it, so that a slow disk is not kept busy with syncing.
constexpr int kRestFactor = 9;

constexpr std::uint64_t kPieceBytes = 256 << 10;

/// Adds what `file` has in `n_bytes` bytes from `offset` on.
void add_bytes(base::StreamDigest& digest, const io::OutputFile& file, std::uint64_t offset, std::uint64_t n_bytes,
               std::span<std::byte> piece) {
  while (n_bytes > 0) {
    const auto part = piece.first(std::min<std::uint64_t>(n_bytes, piece.size()));
    file.read_at(offset, part);
    digest.add(part);
    offset += part.size();
    n_bytes -= part.size();
  }
}

}  // namespace

std::optional<LearnedLayer> learned_layer(const io::Journal& journal, const Plan& plan, std::size_t index) {
  const auto record = journal.records().find(index);
  if (!plan.jobs[index].learn || record == journal.records().end()) return std::nullopt;
  std::optional<LearnedLayer> layer = layer_from(record->second.note);
  if (layer) layer->tensor = plan.jobs[index].inputs[0].info.name;
  return layer;
}

JobJournal::JobJournal(io::Journal& journal, const Plan& plan, std::span<io::OutputFile* const> outputs)
    : journal_(journal), plan_(plan), outputs_(outputs), thread_([this] { loop(); }) {}

JobJournal::~JobJournal() { end(); }

/// Reads back what the job wrote: it is still in the page cache, and its bands were written in any order.  Covers the note, too: a
/// damaged one costs the work on its job.
std::uint64_t JobJournal::digest_of(std::size_t index, std::string_view note) const {
  base::StreamDigest digest;
  std::vector<std::byte> piece;
  const auto add = [&](const Place& place, std::uint64_t n_bytes) {
    piece.resize(std::max<std::size_t>(piece.size(), std::min(n_bytes, kPieceBytes)));
    add_bytes(digest, *outputs_[place.file], place.offset, n_bytes, piece);
  };
  const Job& job = plan_.jobs[index];
  for (const std::uint32_t output : job.outputs) add(plan_.places[output], plan_.output.tensors[output].bytes());
  if (job.lora) {
    for (const std::uint32_t factor : {job.lora->up, job.lora->down}) add(plan_.lora_place(factor), plan_.lora->tensors[factor].bytes());
  }
  digest.add(std::as_bytes(std::span(note)));
  return digest.value();
}

bool JobJournal::is_done(std::size_t index) {
  const auto record = journal_.records().find(index);
  if (record == journal_.records().end()) return false;
  const bool tells_of_layer = !plan_.jobs[index].learn || kept_layer(index).has_value();
  if (!tells_of_layer || digest_of(index, record->second.note) != record->second.digest) {
    ++redone_;
    return false;
  }
  ++kept_;
  if (plan_.jobs[index].learn) ++layers_kept_;
  for (const std::uint32_t output : plan_.jobs[index].outputs) kept_bytes_ += plan_.output.tensors[output].bytes();
  return true;
}

std::optional<LearnedLayer> JobJournal::kept_layer(std::size_t index) const { return learned_layer(journal_, plan_, index); }

void JobJournal::job_done(std::size_t index, const LearnedLayer* learned) {
  std::string note = learned == nullptr ? "" : note_of(*learned);
  const std::uint64_t digest = digest_of(index, note);
  const io::Journal::Record record{index, digest, std::move(note)};
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
  waiting_.push_back(record);
}

void JobJournal::finish() {
  end();
  if (error_) std::rethrow_exception(error_);
}

Resumption JobJournal::found() const {
  return {.jobs = plan_.jobs.size(), .jobs_kept = kept_, .jobs_redone = redone_, .kept_bytes = kept_bytes_, .layers_kept = layers_kept_};
}

void JobJournal::loop() {
  Clock::duration interval = kInterval;
  std::unique_lock lock(mutex_);
  while (!error_) {
    const bool last = ending_.wait_for(lock, interval, [this] { return end_; });
    const auto batch = std::exchange(waiting_, {});
    lock.unlock();
    std::exception_ptr error;
    const auto begin = Clock::now();
    try {
      if (!batch.empty()) record(batch);
    } catch (...) {
      error = std::current_exception();
    }
    interval = std::max(kInterval, kRestFactor * (Clock::now() - begin));
    lock.lock();
    error_ = error;
    if (last) return;
  }
}

/// A record must not reach the disk before the bytes that it vouches for.
void JobJournal::record(const std::vector<io::Journal::Record>& batch) {
  std::vector<bool> touched(outputs_.size());
  for (const io::Journal::Record& record : batch) {
    const Job& job = plan_.jobs[record.job];
    for (const std::uint32_t output : job.outputs) touched[plan_.places[output].file] = true;
    if (job.lora) touched[plan_.lora_place(job.lora->up).file] = true;
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (touched[i]) outputs_[i]->sync_data();
  }
  journal_.append(batch);
}

void JobJournal::end() noexcept {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ending_.notify_one();
  if (thread_.joinable()) thread_.join();
}

}  // namespace halftone::api
