#include "io/partial_files.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstring>

namespace halftone::io {
namespace {

/// Nothing here is ever freed: a signal may come at any time.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<bool> valid{false};
  char path[PATH_MAX]{};
};
/// One for each shard of the largest models.
constexpr std::size_t kSlots = 512;
std::array<Slot, kSlots> g_slots;

}  // namespace

int remember_partial(const std::filesystem::path& path) noexcept {
  if (path.native().size() >= PATH_MAX) return -1;
  for (std::size_t i = 0; i < kSlots; ++i) {
    Slot& slot = g_slots[i];
    if (slot.taken.exchange(true)) continue;
    std::memcpy(slot.path, path.c_str(), path.native().size() + 1);
    slot.valid = true;
    return static_cast<int>(i);
  }
  return -1;
}

void forget_partial(int slot) noexcept {
  if (slot < 0) return;
  Slot& of = g_slots[static_cast<std::size_t>(slot)];
  of.valid = false;
  of.taken = false;
}

void remove_partial_files() noexcept {
  for (const Slot& slot : g_slots) {
    if (slot.valid) ::unlink(slot.path);
  }
}

}  // namespace halftone::io
