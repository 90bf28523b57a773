#include "learn/longest_first.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "base/fail.hpp"

namespace halftone::learn {

double longest_first(std::vector<double> seconds, std::vector<double> free_at) {
  if (free_at.empty()) fail(ErrorKind::internal, "nobody is there to take a layer");
  std::sort(seconds.begin(), seconds.end(), std::greater<>());
  std::priority_queue<double, std::vector<double>, std::greater<>> free(std::greater<>(), std::move(free_at));
  double last = 0;
  for (const double one : seconds) {
    const double end = free.top() + one;
    free.pop();
    free.push(end);
    last = std::max(last, end);
  }
  return last;
}

}  // namespace halftone::learn
