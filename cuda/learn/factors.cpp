#include "learn/factors.hpp"

#include "base/fail.hpp"
#include "runtime/free_memory.hpp"
#include "runtime/shared_library.hpp"
#include "toolkit_libraries.hpp"

namespace halftone::cuda {
namespace {

void check_solver(cusolverStatus_t status, const char* what) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  fail(ErrorKind::device, "CUDA failed to {}: cuSOLVER reports status {}; {}", what, static_cast<int>(status), free_memory());
}

}  // namespace

/// The functions of cuSOLVER that are called.
struct Factors::Library {
  Library() : file(solver_library()) {
    if (!file.problem().empty()) fail(ErrorKind::device, "learned rounding on a GPU needs cuSOLVER: {}", file.problem());
#define HALFTONE_LOAD(name)                                             \
  name = file.function<decltype(cusolverDn##name)>("cusolverDn" #name); \
  if (name == nullptr) fail(ErrorKind::device, "'{}' has no function cusolverDn" #name, solver_library())
    HALFTONE_LOAD(Create);
    HALFTONE_LOAD(Destroy);
    HALFTONE_LOAD(SetStream);
    HALFTONE_LOAD(CreateParams);
    HALFTONE_LOAD(DestroyParams);
    HALFTONE_LOAD(Xpotrf_bufferSize);
    HALFTONE_LOAD(Xpotrf);
    HALFTONE_LOAD(Xtrtri_bufferSize);
    HALFTONE_LOAD(Xtrtri);
    HALFTONE_LOAD(Xsyevd_bufferSize);
    HALFTONE_LOAD(Xsyevd);
#undef HALFTONE_LOAD
  }

  SharedLibrary file;
  decltype(&cusolverDnCreate) Create = nullptr;
  decltype(&cusolverDnDestroy) Destroy = nullptr;
  decltype(&cusolverDnSetStream) SetStream = nullptr;
  decltype(&cusolverDnCreateParams) CreateParams = nullptr;
  decltype(&cusolverDnDestroyParams) DestroyParams = nullptr;
  decltype(&cusolverDnXpotrf_bufferSize) Xpotrf_bufferSize = nullptr;
  decltype(&cusolverDnXpotrf) Xpotrf = nullptr;
  decltype(&cusolverDnXtrtri_bufferSize) Xtrtri_bufferSize = nullptr;
  decltype(&cusolverDnXtrtri) Xtrtri = nullptr;
  decltype(&cusolverDnXsyevd_bufferSize) Xsyevd_bufferSize = nullptr;
  decltype(&cusolverDnXsyevd) Xsyevd = nullptr;
};

Factors::Factors(cudaStream_t stream) : library_(std::make_shared<const Library>()), stream_(stream), info_(sizeof(int), stream) {
  cusolverDnHandle_t handle = nullptr;
  check_solver(library_->Create(&handle), "start cuSOLVER");
  handle_ = {handle, library_->Destroy};
  check_solver(library_->SetStream(handle, stream), "give cuSOLVER a stream");
  cusolverDnParams_t parameters = nullptr;
  check_solver(library_->CreateParams(&parameters), "start cuSOLVER");
  parameters_ = {parameters, library_->DestroyParams};
}

void Factors::reserve(std::size_t device_bytes, std::size_t host_bytes) {
  if (device_.size() < device_bytes) {
    device_ = DeviceBuffer();
    device_ = DeviceBuffer(device_bytes, stream_);
  }
  if (host_.size() < host_bytes) host_.resize(host_bytes);
}

int Factors::report() const {
  int info = 0;
  check(cudaMemcpyAsync(&info, info_.data(), sizeof info, cudaMemcpyDeviceToHost, stream_), "ask how a factor went");
  check(cudaStreamSynchronize(stream_), "factor a matrix");
  return info;
}

// cuSOLVER has its matrices column by column: our lower triangle is its upper one, and the upper factor of that, the
// transpose of ours, lies where our lower one does.

bool Factors::cholesky(const learn::Matrix& a) {
  const auto n = static_cast<std::int64_t>(a.rows);
  const auto stride = static_cast<std::int64_t>(a.stride);
  std::size_t device_bytes = 0;
  std::size_t host_bytes = 0;
  check_solver(library_->Xpotrf_bufferSize(handle_.get(), parameters_.get(), CUBLAS_FILL_MODE_UPPER, n, CUDA_R_32F, a.data, stride,
                                           CUDA_R_32F, &device_bytes, &host_bytes),
               "make room for a factor");
  reserve(device_bytes, host_bytes);
  check_solver(library_->Xpotrf(handle_.get(), parameters_.get(), CUBLAS_FILL_MODE_UPPER, n, CUDA_R_32F, a.data, stride, CUDA_R_32F,
                                device_.data(), device_bytes, host_.data(), host_bytes, info_.as<int>()),
               "factor a matrix");
  return report() == 0;
}

void Factors::invert_lower(const learn::Matrix& a) {
  const auto n = static_cast<std::int64_t>(a.rows);
  const auto stride = static_cast<std::int64_t>(a.stride);
  std::size_t device_bytes = 0;
  std::size_t host_bytes = 0;
  check_solver(library_->Xtrtri_bufferSize(handle_.get(), CUBLAS_FILL_MODE_UPPER, CUBLAS_DIAG_NON_UNIT, n, CUDA_R_32F, a.data, stride,
                                           &device_bytes, &host_bytes),
               "make room for an inverse");
  reserve(device_bytes, host_bytes);
  check_solver(library_->Xtrtri(handle_.get(), CUBLAS_FILL_MODE_UPPER, CUBLAS_DIAG_NON_UNIT, n, CUDA_R_32F, a.data, stride, device_.data(),
                                device_bytes, host_.data(), host_bytes, info_.as<int>()),
               "invert a matrix");
}

void Factors::eigenvectors(const learn::Matrix& a) {
  const auto n = static_cast<std::int64_t>(a.rows);
  const auto stride = static_cast<std::int64_t>(a.stride);
  const DeviceBuffer values(a.rows * sizeof(float), stream_);
  std::size_t device_bytes = 0;
  std::size_t host_bytes = 0;
  check_solver(library_->Xsyevd_bufferSize(handle_.get(), parameters_.get(), CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER, n,
                                           CUDA_R_32F, a.data, stride, CUDA_R_32F, values.data(), CUDA_R_32F, &device_bytes, &host_bytes),
               "make room for eigenvectors");
  reserve(device_bytes, host_bytes);
  check_solver(
      library_->Xsyevd(handle_.get(), parameters_.get(), CUSOLVER_EIG_MODE_VECTOR, CUBLAS_FILL_MODE_UPPER, n, CUDA_R_32F, a.data, stride,
                       CUDA_R_32F, values.data(), CUDA_R_32F, device_.data(), device_bytes, host_.data(), host_bytes, info_.as<int>()),
      "find eigenvectors");
  if (report() != 0) fail(ErrorKind::device, "cuSOLVER found no eigenvectors of a matrix of {} rows", a.rows);
}

}  // namespace halftone::cuda
