#!/usr/bin/env bash
# Runs every benchmark of the build folder $1 with the Python $2; results go to <build>/bench/.
set -euo pipefail
build=$1
python=$2
here=$(cd "$(dirname "$0")" && pwd)
results=$build/bench/results
mkdir -p "$results"
"$build/bench/halftone_all_floats"
"$build/bench/halftone_micro_bench" --benchmark_out="$results/micro.json" --benchmark_out_format=json
"$python" "$here/pipeline/commands.py" "$build/halftone" --json "$results/commands.json"
echo "results: $results"
