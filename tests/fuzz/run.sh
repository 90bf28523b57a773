#!/usr/bin/env bash
# Builds the fuzz targets with clang in build-fuzz and runs each on its corpus; fails at the first defect.
#
#   tests/fuzz/run.sh [TARGET ...]      TARGET: header, index, rules or plan (default: all)
#
#   HALFTONE_FUZZ_SECONDS   how long each target runs (default 60; 0: no limit)
#   HALFTONE_FUZZ_RUNS      how many inputs each target tries at most (default -1: no limit)
#   HALFTONE_FUZZ_MAX_LEN   the longest input in bytes (default 4096)
#   HALFTONE_FUZZ_SEED      of the mutations (default 0: another one each time, printed)
#
# What the fuzzer learns stays in build-fuzz/corpus and is where the next run begins; inputs that break
# something are left in build-fuzz/found. An input worth keeping becomes a seed in make_seeds.py.
set -euo pipefail

root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
here=$root/tests/fuzz
build=$root/build-fuzz

# Optimised enough to be fast, with every check that can be had: the assertions of the JSON parser
# (no NDEBUG), those of the standard library, and both sanitizers.
flags="-O1 -g1 -D_GLIBCXX_ASSERTIONS -fno-omit-frame-pointer"
flags+=" -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all"

targets=("$@")
if (($# == 0)); then targets=(header index rules plan); fi

cmake -S "$root" -B "$build" -G Ninja --log-level=WARNING -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=None \
  -DCMAKE_CXX_FLAGS="$flags" -DHALFTONE_FUZZ=ON -DHALFTONE_CUDA=OFF
cmake --build "$build" --target "${targets[@]/%/_fuzz}"

# An exception that nothing catches, a leak, a failed check and an undefined operation all end the fuzzer.
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1

mkdir -p "$build/found"
for target in "${targets[@]}"; do
  mkdir -p "$build/corpus/$target"
  echo "run.sh: $target" >&2
  "$build/tests/fuzz/${target}_fuzz" -dict="$here/json.dict" -artifact_prefix="$build/found/$target-" \
    -max_len="${HALFTONE_FUZZ_MAX_LEN:-4096}" -max_total_time="${HALFTONE_FUZZ_SECONDS:-60}" \
    -runs="${HALFTONE_FUZZ_RUNS:--1}" -seed="${HALFTONE_FUZZ_SEED:-0}" -timeout=25 -rss_limit_mb=2048 \
    -print_final_stats=1 -verbosity=1 "$build/corpus/$target" "$here/corpus/$target"
done
