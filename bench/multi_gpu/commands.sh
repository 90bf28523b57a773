#!/usr/bin/env bash
# Times whole commands on one GPU, on two and on four, as far as there are so many, in /dev/shm: a plain conversion, and learned
# rounding by three methods.  Every number of GPUs must give the same file: the sums are printed, with how many files have each.  With a second program its
# times stand beside.  Takes about 100 s, 40 GB of memory, and numpy.
#
#   bench/multi_gpu/commands.sh HALFTONE [OTHER_HALFTONE]
set -euo pipefail
(($# == 1 || $# == 2)) || {
  echo "usage: bench/multi_gpu/commands.sh HALFTONE [OTHER_HALFTONE]" >&2
  exit 1
}
readonly here=$(dirname "$0")
folder=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$folder"' EXIT
nvidia-smi -L
nproc
gpus=$(nvidia-smi -L | wc -l)
python3 "$here/models.py" "$folder"

# timed PROGRAM DEVICES MODEL OPTION...: seconds of the process, then what the program says.
outputs=0
timed() {
  outputs=$((outputs + 1))
  local begin=$EPOCHREALTIME
  "$1" convert "$folder/$3.safetensors" --preset none --quiet -o "$folder/out$outputs.safetensors" --format fp8 --device "$2" "${@:4}" \
    > "$folder/report"
  local end=$EPOCHREALTIME
  printf '%2d  %6.2f s  %-14s %s\n' "$outputs" "$((${end/./} - ${begin/./}))e-6" "$2" "$(tail -n 1 "$folder/report" | cut -d, -f1-2)"
  grep '^note .*not used' "$folder/report" || true
}

# work NAME MODEL OPTION...: on all counts of GPUs, and the different sums of the files.
work() {
  echo "== $1"
  for program in "${programs[@]}"; do
    ((${#programs[@]} == 1)) || echo "$program"
    for devices in 0 0,1 0,1,2,3; do
      (($(tr -cd , <<< "$devices" | wc -c) < gpus)) || continue
      timed "$program" "cuda:$devices" "${@:2}"
    done
  done
  printf '%s\0' "$folder"/out*.safetensors | xargs -0 -P 16 -n 1 sha256sum | cut -d' ' -f1 | sort | uniq -c
  rm "$folder"/out*.safetensors
}

programs=("$@")
work "plain" plain
work "project" learn --rounding learned
work "project, 256 layers" long --rounding learned
work "feedback" learn --rounding learned --stats "$folder/stats.safetensors"
programs=("$1")
work "prodigy, 1500 iterations" learn --rounding learned --learn-method optimizer --optimizer prodigy --iterations 1500
