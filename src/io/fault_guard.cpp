#include "io/fault_guard.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <csignal>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace halftone::io {
namespace {

// A fixed table of atomics: a signal handler may neither lock nor allocate.
struct Slot {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> faulted{false};
};

std::array<Slot, 1024> g_slots;
struct sigaction g_previous;

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((g_previous.sa_flags & SA_SIGINFO) != 0 && g_previous.sa_sigaction != nullptr) {
    g_previous.sa_sigaction(signal, info, context);
  } else if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) {
    g_previous.sa_handler(signal);
  } else {
    // Returning re-executes the access, which now ends the process as it would have without us.
    ::signal(SIGBUS, SIG_DFL);
  }
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (Slot& slot : g_slots) {
    const std::uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= slot.end.load(std::memory_order_acquire)) continue;
    // A slot given to another range meanwhile has another beginning beside its new end.
    if (slot.begin.load(std::memory_order_acquire) != begin) continue;
    const auto page_bytes = static_cast<std::uintptr_t>(::getpagesize());
    void* page = reinterpret_cast<void*>(address & ~(page_bytes - 1));
    slot.faulted.store(true, std::memory_order_release);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (::mmap(page, page_bytes, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED) return;
  }
  pass_on(signal, info, context);
}

void install() {
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &g_previous);
}

}  // namespace

int guard_range(const void* begin, std::size_t n_bytes) noexcept {
  static std::once_flag once;
  std::call_once(once, install);
  const auto first = reinterpret_cast<std::uintptr_t>(begin);
  for (std::size_t i = 0; i < g_slots.size(); ++i) {
    std::uintptr_t free = 0;
    if (g_slots[i].begin.load(std::memory_order_relaxed) != 0) continue;
    // `begin` claims the slot; `end` is 0 until it follows, so that nothing matches meanwhile.
    if (!g_slots[i].begin.compare_exchange_strong(free, first, std::memory_order_acq_rel)) continue;
    g_slots[i].faulted.store(false, std::memory_order_relaxed);
    g_slots[i].end.store(first + n_bytes, std::memory_order_release);
    return static_cast<int>(i);
  }
  return -1;
}

void unguard_range(int slot) noexcept {
  if (slot < 0) return;
  g_slots[static_cast<std::size_t>(slot)].end.store(0, std::memory_order_release);
  g_slots[static_cast<std::size_t>(slot)].begin.store(0, std::memory_order_release);
}

bool guard_faulted(int slot) noexcept {
  return slot >= 0 && g_slots[static_cast<std::size_t>(slot)].faulted.load(std::memory_order_acquire);
}

}  // namespace halftone::io
