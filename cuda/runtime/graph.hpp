#pragma once

#include <vector>

#include "runtime/check.hpp"
#include "runtime/event.hpp"
#include "runtime/stream.hpp"

namespace halftone::cuda {

/// Work of a stream, recorded once and launched as a whole.
class Graph {
 public:
  /// Records what `work` puts into `branches`, which run side by side between the work of `stream` before and
  /// after a launch; nothing of it runs now.
  template <class Work>
  Graph(const Stream& stream, const std::vector<Stream>& branches, const Work& work) {
    check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "record a graph");
    Recording recording(stream);
    Event begin;
    begin.record(stream.get());
    for (const Stream& branch : branches) check(cudaStreamWaitEvent(branch.get(), begin.get()), "record a graph");
    work();
    for (const Stream& branch : branches) {
      Event end;
      end.record(branch.get());
      check(cudaStreamWaitEvent(stream.get(), end.get()), "record a graph");
    }
    check(recording.end(), "record a graph");
    check(cudaGraphInstantiate(&graph_, recording.graph(), 0), "make a graph");
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() { cudaGraphExecDestroy(graph_); }

  /// Puts the recorded work into `stream`.
  void launch(const Stream& stream) const { check(cudaGraphLaunch(graph_, stream.get()), "launch a graph"); }

 private:
  /// A stream that records, and what it has recorded.  The stream records no longer when this is gone.
  class Recording {
   public:
    explicit Recording(const Stream& stream) : stream_(stream) {}
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
    ~Recording() {
      if (!ended_ && end() != cudaSuccess) (void)cudaGetLastError();  // of a recording that failed
      if (graph_ != nullptr) cudaGraphDestroy(graph_);
    }
    [[nodiscard]] cudaError_t end() {
      ended_ = true;
      return cudaStreamEndCapture(stream_.get(), &graph_);
    }
    [[nodiscard]] cudaGraph_t graph() const noexcept { return graph_; }

   private:
    const Stream& stream_;
    cudaGraph_t graph_ = nullptr;
    bool ended_ = false;
  };

  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace halftone::cuda
