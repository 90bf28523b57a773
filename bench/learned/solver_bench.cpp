// Times the pieces of learned rounding on one weight: products, factors, bases, and the passes of `project`.
//
//   halftone_solver_bench DEVICE WEIGHT ROWS COLUMNS BASIS
//
// WEIGHT holds ROWS × COLUMNS elements of binary32.  The left side of each basis goes to BASIS.<rank>, as binary32 and
// without its columns of zeros, for others to hold it against the singular vectors (bench/learned/svd.py).  Times are
// medians of seconds, after a run that does not count.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <halftone/halftone.hpp>

#include "api/backends.hpp"
#include "formats/layer_layout.hpp"
#include "learn/basis.hpp"
#include "learn/leading_part.hpp"
#include "learn/orthonormal.hpp"
#include "learn/project.hpp"
#include "learn/quantized_weight.hpp"

namespace halftone {
namespace {

using learn::Element;
using learn::Matrix;

std::vector<float> read_weight(const char* path, std::uint64_t n) {
  std::vector<float> values(n);
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(n * sizeof(float)));
  if (!in) throw std::runtime_error(std::string(path) + " is shorter than the weight");
  return values;
}

class SolverBench {
 public:
  SolverBench(learn::Engine& engine, const std::vector<float>& values, std::uint64_t rows, std::uint64_t columns, std::string basis_path)
      : engine_(engine), memory_(engine), weight_(memory_.matrix_of(values.data(), rows, columns)), basis_path_(std::move(basis_path)) {}

  void run() {
    first_time();
    operations();
    for (const std::uint64_t rank : {std::uint64_t{16}, learn::rank_of({}, weight_.rows, weight_.columns)}) {
      for (const int iterations : {1, 2, 3, 8}) basis(rank, iterations);
    }
    for (const char* format : {"fp8", "int8-row", "nvfp4"}) project(format);
  }

 private:
  void finish() { engine_.read_sums({&ignored_, 1}); }

  double seconds_of(const std::function<void()>& work, int repeats = 5) {
    std::vector<double> seconds;
    for (int i = 0; i <= repeats; ++i) {
      finish();
      const auto begin = std::chrono::steady_clock::now();
      work();
      finish();
      if (i > 0) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::nth_element(seconds.begin(), seconds.begin() + repeats / 2, seconds.end());
    return seconds[static_cast<std::size_t>(repeats / 2)];
  }

  static void say(const std::string& what, double seconds, const std::string& more = "") {
    std::printf("%-44s %9.3f ms %s\n", what.c_str(), seconds * 1e3, more.c_str());
    std::fflush(stdout);
  }

  double once(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    finish();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  /// What libraries and kernels take to load, and memory to be had.
  void first_time() {
    const std::uint64_t rank = learn::rank_of({}, weight_.rows, weight_.columns);
    learn::Memory memory(engine_);
    const Matrix wide = memory.matrix(weight_.rows, weight_.columns);
    say("first sum", once([&] { engine_.add_up(weight_, weight_, 0); }));
    say("first product", once([&] { engine_.multiply({.a = weight_, .b = weight_, .c = wide}); }));
    for (const char* time : {"first", "second"}) {
      say(std::string(time) + " basis", once([&] {
            learn::Memory scratch(engine_);
            std::ignore = learn::leading_basis(engine_, scratch, weight_, rank, learn::BasisMethod::randomized, 3, 1);
          }));
    }
    std::vector<float> host(weight_.rows * weight_.columns);
    for (const char* time : {"first", "second"}) {
      say(std::string(time) + " download of the weight",
          once([&] { engine_.download(weight_.data, host.data(), host.size() * sizeof(float)); }));
      say(std::string(time) + " upload of the weight", once([&] { engine_.upload(host.data(), wide.data, host.size() * sizeof(float)); }));
    }
  }

  /// Of one of several in a row: no wait is counted.
  void say_each(const std::string& what, const std::function<void()>& work) {
    constexpr int count = 10;
    const double seconds = seconds_of([&] {
      for (int i = 0; i < count; ++i) work();
    });
    say(what, seconds / count);
  }

  /// Single operations at the sizes that ranks of 16 and of a fifth have.
  void operations() {
    const std::uint64_t rank = learn::rank_of({}, weight_.rows, weight_.columns);
    say("wait for a sum", seconds_of([] {}));
    for (const std::uint64_t columns : {std::uint64_t{64}, (rank + 63) / 64 * 64, (3 * rank / 2 + 63) / 64 * 64}) {
      products(columns, Element::single);
      products(columns, engine_.factor_element());
      orthonormalise(columns);
    }
    say_each("sum of squares of the weight", [&] { engine_.add_up(weight_, weight_, 0); });
  }

  void products(std::uint64_t columns, Element element) {
    learn::Memory memory(engine_);
    const Matrix weight = memory.matrix(weight_.rows, weight_.columns, element);
    const Matrix a = memory.matrix(weight_.columns, columns, element);
    const Matrix b = memory.matrix(weight_.rows, columns, element);
    const Matrix gram = memory.matrix(columns, columns);
    const Matrix factor = memory.matrix(columns, columns, element);
    const Matrix square = memory.matrix(columns, columns, element);
    const Matrix wide = memory.matrix(weight_.rows, weight_.columns, element);
    const std::string of = " x " + std::to_string(columns) + (element == Element::half ? ", binary16" : "");
    engine_.fill_signs(a, 1);
    say_each("weight, converted" + of, [&] { engine_.convert(weight_, 0.1F, weight); });
    say_each("W a" + of, [&] { engine_.multiply({.a = weight, .b = a, .c = b}); });
    say_each("Wt b" + of, [&] { engine_.multiply({.a = weight, .transpose_a = true, .b = b, .c = a}); });
    say_each("b at" + of, [&] { engine_.multiply({.a = b, .b = a, .transpose_b = true, .c = wide}); });
    say_each("bt b" + of, [&] { engine_.multiply({.a = b, .transpose_a = true, .b = b, .c = factor}); });
    say_each("bt b, binary32, full precision" + of,
             [&] { engine_.multiply({.a = b, .transpose_a = true, .b = b, .c = gram, .full_precision = true}); });
    say_each("b gram + b" + of, [&] { engine_.multiply({.a = b, .b = factor, .beta = 0.5F, .added = b, .c = a}); });
    say_each("gram gram" + of, [&] { engine_.multiply({.a = factor, .b = factor, .c = square}); });
    say_each("sum of squares" + of, [&] { engine_.add_up(b, b, 0); });
  }

  void orthonormalise(std::uint64_t columns) {
    learn::Memory memory(engine_);
    const std::string of = " x " + std::to_string(columns);
    const Matrix kept = memory.matrix(weight_.rows, columns);
    const Matrix signs = memory.matrix(weight_.columns, columns);
    engine_.fill_signs(signs, 1);
    engine_.multiply({.a = weight_, .b = signs, .alpha = 0.01F, .c = kept});
    using learn::Orthonormaliser;
    for (const auto method : {Orthonormaliser::Method::factors, Orthonormaliser::Method::products}) {
      const bool is_factors = method == Orthonormaliser::Method::factors;
      const Matrix a = memory.matrix(kept.rows, columns, is_factors ? Element::single : engine_.factor_element());
      const Matrix out = memory.matrix(kept.rows, columns);
      Orthonormaliser orthonormaliser(engine_, memory, {a.rows, columns, columns, a.element}, method);
      const std::string what = "orthonormal" + of + (is_factors ? " by factors" : " by products");
      const auto with = [&](const std::function<void()>& work) {
        return seconds_of([&] {
          engine_.convert(kept, 1.0F, a);
          work();
        });
      };
      say(what + ", rough", with([&] { orthonormaliser.apply(a, learn::Orthonormality::rough); }));
      say(what + ", close", with([&] { orthonormaliser.apply(a, learn::Orthonormality::close); }));
      say(what + ", full", with([&] { orthonormaliser.apply_fully(a, out); }));
    }
    const Matrix gram = memory.matrix(columns, columns);
    const auto make_gram = [&] {
      engine_.multiply({.a = kept, .transpose_a = true, .b = kept, .c = gram, .full_precision = true});
      engine_.add_ridge(gram, 1e-3F);
    };
    bool is_factored = true;
    say("Gram matrix" + of, seconds_of(make_gram));
    say("Gram matrix, Cholesky" + of, seconds_of([&] {
          make_gram();
          is_factored = is_factored && engine_.cholesky(gram);
        }));
    say("Gram matrix, Cholesky, inverse" + of, seconds_of([&] {
          make_gram();
          is_factored = is_factored && engine_.cholesky(gram);
          engine_.invert_lower(gram);
        }));
    const Matrix part = memory.matrix(columns, (2 * columns / 3 + 15) / 16 * 16);
    for (const auto method : {learn::SplitMethod::eigenvectors, learn::SplitMethod::sign}) {
      say("Gram matrix, two thirds of it" + of + (method == learn::SplitMethod::sign ? " by sign" : " by eigenvectors"), seconds_of([&] {
            make_gram();
            std::ignore = learn::leading_part(engine_, gram, method, part);
          }));
    }
  }

  void basis(std::uint64_t rank, int iterations) {
    double energy = 0;
    double residual = 0;
    const double seconds = seconds_of([&] {
      learn::Memory memory(engine_);
      const learn::Basis found = learn::leading_basis(engine_, memory, weight_, rank, learn::BasisMethod::randomized, iterations, 1);
      energy = found.captured_energy;
      residual = found.residual;
    });
    learn::Memory memory(engine_);
    const learn::Basis found = learn::leading_basis(engine_, memory, weight_, rank, learn::BasisMethod::randomized, iterations, 1);
    write(found, basis_path_ + "." + std::to_string(rank) + "." + std::to_string(iterations));
    say("basis of rank " + std::to_string(rank) + ", iterations " + std::to_string(iterations), seconds,
        "energy " + std::to_string(energy) + " residual " + std::to_string(residual));
  }

  void write(const learn::Basis& basis, const std::string& path) {
    std::vector<float> left(basis.left.rows * basis.left.columns);
    engine_.download(basis.left.data, left.data(), left.size() * sizeof(float));
    std::ofstream out(path, std::ios::binary);
    for (std::uint64_t row = 0; row < basis.left.rows; ++row) {
      out.write(reinterpret_cast<const char*>(left.data() + row * basis.left.columns),
                static_cast<std::streamsize>(basis.rank * sizeof(float)));
    }
  }

  void project(const char* name) {
    const QuantSpec spec{.format = &format_named(name)};
    const formats::LayerLayout layout(spec, weight_.rows, weight_.columns);
    learn::QuantizedWeight quantized(engine_, spec, layout, weight_);
    const float amax = codec::from_bits(engine_.largest(weight_.data, weight_.rows * weight_.columns));
    const std::string of = std::string(", ") + name;
    say("nearest" + of, seconds_of([&] {
          quantized.round_to_nearest(amax, {});
          std::ignore = quantized.layer();
        }));
    const learn::Layer& layer = quantized.layer();
    learn::Memory memory(engine_);
    auto* levels = memory.array<std::uint8_t>(layer.elements());
    const Matrix errors = memory.matrix(layer.rows(), layer.columns());
    say("round" + of, seconds_of([&] { engine_.round(layer.weight, {}, layer.weight, layer.grid, levels, errors); }));
    say("errors" + of, seconds_of([&] { engine_.errors_of(levels, layer.weight, layer.grid, errors); }));
    const std::uint64_t rank = learn::rank_of({}, weight_.rows, weight_.columns);
    const learn::Basis basis = learn::leading_basis(engine_, memory, weight_, rank, learn::BasisMethod::randomized, 3, 1);
    for (const auto& [descents, flips] :
         {std::pair{0, 0}, {10, 0}, {4, 6}, {4, 8}, {6, 6}, {6, 8}, {8, 6}, {8, 8}, {10, 6}, {10, 8}, {10, 16}}) {
      learn::Outcome outcome;
      const double seconds =
          seconds_of([&] { outcome = learn::project(engine_, layer, basis, {.descents = descents, .flips = {.passes = flips}}, levels); });
      say("project, " + std::to_string(descents) + " descents, " + std::to_string(flips) + " flips" + of, seconds,
          "loss " + std::to_string(outcome.loss / outcome.nearest_loss) + " squared error " +
              std::to_string(outcome.squared_error / outcome.nearest_squared_error) + " iterations " + std::to_string(outcome.iterations));
    }
  }

  learn::Engine& engine_;
  learn::Memory memory_;
  Matrix weight_;
  std::string basis_path_;
  double ignored_ = 0;
};

int bench(char** arguments) {
  const std::uint64_t rows = std::stoull(arguments[3]);
  const std::uint64_t columns = std::stoull(arguments[4]);
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto begin = now();
  const std::unique_ptr<Backend> backend = api::open_backend(arguments[1]);
  const auto opened = now();
  const std::shared_ptr<learn::Engine> engine = backend->make_engine(0);
  std::printf("opened in %.0f ms, first engine in %.0f ms\n", std::chrono::duration<double>(opened - begin).count() * 1e3,
              std::chrono::duration<double>(now() - opened).count() * 1e3);
  SolverBench(*engine, read_weight(arguments[2], rows * columns), rows, columns, arguments[5]).run();
  return 0;
}

}  // namespace
}  // namespace halftone

int main(int count, char** arguments) {
  if (count != 6) {
    std::fputs("usage: halftone_solver_bench DEVICE WEIGHT ROWS COLUMNS BASIS\n", stderr);
    return 2;
  }
  try {
    return halftone::bench(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
