#include "signals.hpp"

#include <csignal>

namespace halftone::tool {
namespace {

std::atomic<bool>* g_stop = nullptr;

void on_signal(int) { g_stop->store(true, std::memory_order_relaxed); }

}  // namespace

void stop_on_signals(RunControl& control) {
  g_stop = &control.stop;
  struct sigaction action {};
  action.sa_handler = on_signal;
  // One shot: a user who asks twice does not want to wait for the orderly end.
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
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
