#!/usr/bin/env bash
# The GPU gate: every GPU test and law, the short ones again under each tool of compute-sanitizer,
# and the benchmark of the kernels, which compares every result with the CPU's first.
# A missing GPU or tool, a skipped or disabled test, and a run of no test count as failures.
# Needs a built tree, but neither CMake nor a compiler.  Shared libraries that the machine lacks are
# found in BUILD_DIR/lib.
#
#   tests/gpu/gate.sh BUILD_DIR
set -euo pipefail

fail() {
  echo "gate.sh: $*" >&2
  exit 1
}

(($# == 1)) || fail "usage: tests/gpu/gate.sh BUILD_DIR"
build=$(realpath "$1")
readonly build tests=$build/cuda/halftone_gpu_tests laws=$build/tests/laws/halftone_law_tests program=$build/halftone
for file in "$tests" "$laws" "$program"; do
  [[ -x $file ]] || fail "there is no $file; configure with -DHALFTONE_CUDA=ON and build."
done

unset "${!GTEST_@}" # nothing outside may choose, shard or colour the tests
export HALFTONE_REQUIRE_GPU=1
if [[ -d $build/lib ]]; then export LD_LIBRARY_PATH=$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
# Suites of this name go through 2^31 inputs or more, tests of large products take as long: not under a sanitizer.
readonly short_tests='-*Exhaustive.*:*large*'
# Every kernel, at every alignment, for every size of group, and with a search.
readonly short_laws='*FormatLaw.Every_length*cuda*:*FormatLaw.A_band_that_the_device_kept*cuda*:*FormatLaw.Every_size*cuda*:*FormatLaw.Searched*cuda*:*LinearLaw.Sizes*cuda*'
# Of learned rounding one format of each packing: its kernels are the same for all.
readonly short_learned='*FlipLaw.*/nvfp4_cuda:*LearnLaw.*/fp8_cuda:*LearnLaw.*/nvfp4_cuda:*OptimizerLaw*cuda_fp8_p*'
# Races and unwritten memory take much longer to look for: one type of weights, and one law of learned rounding.
readonly slow_laws='*FormatLaw.Every_length*cuda_BF16:*FormatLaw.A_band_that_the_device_kept*cuda_BF16:*FormatLaw.Searched*/nvfp4_cuda_BF16:*LearnLaw.Levels_that_are_taken*/nvfp4_cuda'

log=$(mktemp)
logs=$(mktemp -d)
trap 'rm -rf "$log" "$logs"' EXIT
summary=()
failures=0

# note NAME RESULT: adds a line to the summary; any result but "passed" fails the gate.
note() {
  summary+=("$(printf '%-10s %s' "$1" "$2")")
  [[ $2 == passed* ]] || failures=$((failures + 1))
}

# Prints the number that the sed pattern $1 captures in the last line of the log that it matches, or 0.
count() {
  local found
  found=$(sed -nE "s/$1.*/\1/p" "$log" | tail -n 1)
  echo "${found:-0}"
}

# run NAME COMMAND...: runs a GoogleTest program and notes its counts.
run() {
  local name=$1 status=0 began=$SECONDS ran passed failed skipped disabled result=passed
  shift
  echo "== $name"
  "$@" 2>&1 | tee "$log" || status=$?
  ran=$(count '^\[=+\] ([0-9]+) tests? from .* ran\.')
  passed=$(count '^\[ +PASSED +\] ([0-9]+) test')
  skipped=$(count '^\[ +SKIPPED +\] ([0-9]+) test')
  failed=$((ran - passed - skipped))
  disabled=$(count '^ +YOU HAVE ([0-9]+) DISABLED')
  if ((status != 0 || ran == 0 || passed != ran || skipped + disabled > 0)); then
    result="FAILED (exit status $status)"
  fi
  note "$name" "$result: $ran tests ran, $passed passed, $failed failed, $((skipped + disabled)) skipped, $((SECONDS - began)) s"
}

# sanitize TOOL PROGRAM FILTER: runs tests under a tool of compute-sanitizer, which must say that it found nothing.
sanitize() {
  local sanitizer
  sanitizer=$(command -v compute-sanitizer || command -v /usr/local/cuda/bin/compute-sanitizer || true)
  if [[ -z $sanitizer ]]; then
    note "$1" "FAILED: there is no compute-sanitizer"
    return
  fi
  run "$1" "$sanitizer" --tool "$1" --error-exitcode 99 "$2" --gtest_brief=1 --gtest_filter="$3"
  grep -qE '^=+ [A-Z]+ SUMMARY: 0 (errors|hazards)' "$log" || note "$1" "FAILED: no clean summary from compute-sanitizer"
}

# The program on the GPU against the numpy reference and the reference converter's files, where Python has numpy.
readonly scripts=(test_random_models test_conformance test_learned test_optimizers)

# Starts a script of the program's tests; most of its time goes into starting and ending CUDA, so that it may run beside others.
start_script() {
  cd "$(dirname "$0")/../e2e"
  HALFTONE_BIN=$program HALFTONE_TEST_DEVICE=cuda python3 -m unittest "$1" >"$logs/$1" 2>&1
}

# Notes how a script that was started has ended.
note_script() {
  local script=$1 skipped
  tee "$log" <"$logs/$script"
  skipped=$(count '^OK \(skipped=([0-9]+)\)')
  if wait "${started[$script]}"; then
    # The full set of the reference converter's files is no part of this repository.
    note "$script" "passed: $(count '^Ran ([0-9]+) tests?') tests with --device cuda ran, $skipped skipped for want of the full conformance set"
  else
    note "$script" FAILED
  fi
}

device=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader) || device="no answer from nvidia-smi"
echo "device: $device"

declare -A started
if python3 -c 'import numpy' 2>/dev/null; then
  for script in "${scripts[@]}"; do
    start_script "$script" &
    started[$script]=$!
  done
else
  note program "FAILED: python3 has no numpy"
fi
run tests "$tests"
run laws "$laws" --gtest_brief=1
sanitize memcheck "$tests" "$short_tests"
sanitize memcheck "$laws" "$short_laws:$short_learned"
for tool in racecheck initcheck; do
  sanitize "$tool" "$tests" "$short_tests"
  sanitize "$tool" "$laws" "$slow_laws"
done
for script in "${!started[@]}"; do
  echo "== $script"
  wait "${started[$script]}" || true
  note_script "$script"
done
echo "== bench"
if "$program" bench | tee "$log" && [[ ${PIPESTATUS[0]} == 0 ]]; then
  note bench "passed: $(wc -l <"$log") kernels equal to the CPU's, and timed"
else
  note bench "FAILED"
fi

echo "== summary of the GPU gate ($device)"
printf '%s\n' "${summary[@]}"
if ((failures > 0)); then
  echo "GPU gate: FAILED"
  exit 1
fi
echo "GPU gate: passed"
