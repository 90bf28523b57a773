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
    cudaGraph_t recorded = nullptr;
    check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), "record a graph");
    Event begin;
    begin.record(stream.get());
    for (const Stream& branch : branches) check(cudaStreamWaitEvent(branch.get(), begin.get()), "record a graph");
    work();
    for (const Stream& branch : branches) {
      Event end;
      end.record(branch.get());
      check(cudaStreamWaitEvent(stream.get(), end.get()), "record a graph");
    }
    check(cudaStreamEndCapture(stream.get(), &recorded), "record a graph");
    const cudaError_t status = cudaGraphInstantiate(&graph_, recorded, 0);
    cudaGraphDestroy(recorded);
    check(status, "make a graph");
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() { cudaGraphExecDestroy(graph_); }

  /// Puts the recorded work into `stream`.
  void launch(const Stream& stream) const { check(cudaGraphLaunch(graph_, stream.get()), "launch a graph"); }

 private:
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace halftone::cuda
