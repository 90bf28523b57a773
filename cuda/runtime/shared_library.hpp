#pragma once

#include <dlfcn.h>

#include <string>
#include <utility>

namespace halftone::cuda {

/// A library that the program is not linked with.
class SharedLibrary {
 public:
  /// Opens `file`, found as the dynamic linker finds it; problem() says where that fails.  It stays loaded with the
  /// process: the libraries of the toolkit take a tenth of a second to come back.
  explicit SharedLibrary(const std::string& file) : handle_(::dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE)) {
    if (handle_ == nullptr) problem_ = ::dlerror();
  }
  SharedLibrary(SharedLibrary&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)), problem_(std::move(other.problem_)) {}
  SharedLibrary& operator=(SharedLibrary&&) = delete;
  ~SharedLibrary() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }

  /// Why the library could not be opened; empty where it was.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

  /// The function called `name`, or null.
  template <class Function>
  [[nodiscard]] Function* function(const char* name) const noexcept {
    return handle_ == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(handle_, name));
  }

 private:
  void* handle_;
  std::string problem_;
};

}  // namespace halftone::cuda
