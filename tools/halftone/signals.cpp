#include "signals.hpp"

#include <unistd.h>

#include <csignal>

#include <halftone/error.hpp>

#include "io/partial_files.hpp"

namespace halftone::tool {
namespace {

/// What a run has to end in an orderly way after the first signal.
constexpr unsigned kGraceSeconds = 5;

std::atomic<bool>* g_stop = nullptr;
std::atomic<int> g_asked{0};

/// Ends the process from a signal handler.
[[noreturn]] void end_at_once() {
  io::remove_partial_files();
  constexpr char message[] = "halftone: interrupted\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, message, sizeof message - 1);
  ::_exit(static_cast<int>(ExitCode::interrupted));
}

/// A signal that comes twice does not want to wait for the orderly end, and that may never come: a run that waits for a
/// device or a disk, or is within a long product, does not look.
void on_signal(int signal) {
  if (signal == SIGALRM || g_asked.exchange(signal) == signal) end_at_once();
  g_stop->store(true, std::memory_order_relaxed);
  ::alarm(kGraceSeconds);
}

}  // namespace

void stop_on_signals(RunControl& control) {
  g_stop = &control.stop;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);
  }
}

void ignore_write_signals() {
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace halftone::tool
