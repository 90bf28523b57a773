#include "progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/text.hpp"
#include "output.hpp"

namespace halftone::tool {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 50ms;
constexpr auto kLineInterval = 5s;
constexpr int kBarWidth = 30;
/// Seconds that are shown while anything is left: none would say that the run is over.
constexpr double kLeastLeft = 1;

std::string clock_text(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

/// What most of the time goes into.
std::string_view limit_of(const RunControl& control) {
  const std::uint64_t reading = control.reading_ns;
  const std::uint64_t computing = control.computing_ns;
  const std::uint64_t writing = control.writing_ns;
  if (reading > computing && reading > writing) return "reading";
  return writing > computing ? "writing" : "computing";
}

}  // namespace

Progress::Progress(const RunControl& control, bool visible)
    : control_(control), visible_(visible), terminal_(::isatty(STDERR_FILENO) == 1), next_line_(start_ + kLineInterval) {
  thread_ = std::thread([this] { loop(); });
}

Progress::~Progress() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  changed_.notify_one();
  thread_.join();
  if (visible_ && terminal_) show(true);
}

std::uint64_t Progress::peak_anonymous_bytes() {
  sample_memory();
  return peak_;
}

void Progress::loop() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kTick, [this] { return end_; })) {
    sample_memory();
    if (visible_ && !said_ && control_.first_foreseen_end_ns != 0) say_what_is_foreseen();
    if (visible_ && control_.total_bytes != 0) show(false);
  }
}

/// By the layers that have learned, where any is left, else by the rate since then.
std::string Progress::time_left(std::chrono::steady_clock::time_point now, double remaining, double written) {
  if (!(remaining > 0)) return clock_text(0);
  const std::chrono::duration<double> learning = std::chrono::nanoseconds(control_.foreseen_end_ns) - now.time_since_epoch();
  if (learning.count() > 0) {
    rate_begin_ = now;
    rate_begin_bytes_ = written;
    return clock_text(std::max(learning.count(), kLeastLeft));
  }
  const std::chrono::duration<double> passed = now - rate_begin_;
  const double bytes = written - rate_begin_bytes_;
  // A shorter time says little of a rate, above all where layers learn for longer than was foreseen.
  if (passed < std::chrono::seconds(1) || !(bytes > 0)) return "-:--";
  return clock_text(std::max(passed.count() * remaining / bytes, kLeastLeft));
}

/// Before the first layer is done; not where a line would not be read before all of them are.
void Progress::say_what_is_foreseen() {
  said_ = true;
  const std::chrono::duration<double> all = std::chrono::nanoseconds(control_.first_foreseen_end_ns.load()) - start_.time_since_epoch();
  if (all > kLineInterval)
    write_error(fmt::format("{}about {} in all are foreseen\n", terminal_ ? "\r\x1b[K" : "", clock_text(all.count())));
}

void Progress::sample_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "RssAnon:") continue;
    std::uint64_t kib = 0;
    status >> kib;
    peak_ = std::max<std::uint64_t>(peak_, kib * 1024);
    return;
  }
}

void Progress::show(bool last) {
  const auto now = std::chrono::steady_clock::now();
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const auto done = static_cast<double>(control_.done_bytes);
  const auto total = static_cast<double>(control_.total_bytes);
  const auto kept = static_cast<double>(control_.kept_bytes);
  if (total == 0) return;
  const double share = std::min(done / total, 1.0);
  const std::string rate = fmt::format(
      "{}/s, mostly {}", base::human_bytes(static_cast<std::uint64_t>((done - kept) / std::max(seconds, 1e-3))), limit_of(control_));
  const std::string left = time_left(now, total - done, done - kept);
  if (terminal_) {
    const auto filled = static_cast<std::size_t>(share * kBarWidth);
    const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
    write_error(fmt::format("\r[{}] {:3.0f} %  {}  {} left \x1b[K{}", bar, share * 100, rate, left, last ? "\n" : ""));
  } else if (now >= next_line_) {
    write_error(fmt::format("{:.0f} %  {}  {} left\n", share * 100, rate, left));
    next_line_ = now + kLineInterval;
  }
}

}  // namespace halftone::tool
