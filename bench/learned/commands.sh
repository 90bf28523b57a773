#!/usr/bin/env bash
# Times whole learned conversions of a model of 57 layers of 4096 x 4096 (0.96 B parameters, BF16 in /dev/shm) on one GPU and
# on two where there are two, says whether the files are the same, and times one layer by each method.
#
#   bench/learned/commands.sh HALFTONE
set -euo pipefail
(($# == 1)) || {
  echo "usage: bench/learned/commands.sh HALFTONE" >&2
  exit 1
}
readonly halftone=$1
folder=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$folder"' EXIT
nvidia-smi -L
python3 - "$folder" <<'E2'
import sys
import torch
from safetensors.torch import save_file
folder, layers, n = sys.argv[1], 57, 4096
generator = torch.Generator("cuda").manual_seed(3)
weights = {f"b.{i}.fc.weight": (torch.randn(n, n, generator=generator, device="cuda") * 0.02).bfloat16().cpu() for i in range(layers)}
save_file(weights, f"{folder}/m.safetensors")
inputs = torch.randn(4 * n, n, generator=generator, device="cuda") * torch.arange(1, n + 1, device="cuda").float() ** -0.25
moment = (inputs.T @ inputs / (4 * n)).cpu()
save_file({f"b.{i}.fc.{key}": value.clone() for i in range(layers) for key, value in (("second_moment", moment), ("count", torch.tensor([4 * n])))},
          f"{folder}/s.safetensors")
E2

# convert OUT OPTION...: prints the last line of the report.
convert() {
  "$halftone" convert "$folder/m.safetensors" --preset none --force --quiet -o "$folder/$1.safetensors" "${@:2}" | tail -n 1
}

devices=(cuda:0)
(($(nvidia-smi -L | wc -l) > 1)) && devices+=("cuda:0,1")
TIMEFORMAT="%R s as a process"
for repeat in 1 2; do
  for format in int8-row fp8; do
    for device in "${devices[@]}"; do
      echo "== $format, $device, run $repeat"
      time convert "project-$format-${device##*:}" --format "$format" --device "$device" --rounding learned
      time convert "feedback-$format-${device##*:}" --format "$format" --device "$device" --rounding learned --stats "$folder/s.safetensors"
    done
  done
done
(cd "$folder" && sha256sum ./*-*.safetensors)

# layer NAME OPTION...: the median of eight layers, one after another; the first one loads what the others find.
layer() {
  "$halftone" convert "$folder/m.safetensors" --format fp8 --preset none --include 'b\.[0-7]\.' --device cuda:0 --threads 1 --rounding learned \
    --force --quiet --json -o "$folder/l.safetensors" "${@:2}" |
    python3 -c 'import json, sys; layers = sorted(json.load(sys.stdin)["learned"], key=lambda layer: layer["seconds"])
layer = layers[len(layers) // 2]
print(sys.argv[1], {key: layer[key] for key in ("seconds", "iterations", "loss_ratio", "mse_ratio", "output_error_ratio", "stop_reason")})' "$1"
}
echo "== one layer"
for effort in fast default best; do layer "project $effort" --effort "$effort"; done
layer feedback --stats "$folder/s.safetensors"
layer closed --learn-method closed
for optimizer in original prodigy adamw radam; do layer "$optimizer" --learn-method optimizer --optimizer "$optimizer" --iterations 700; done
echo "== others"
time convert search --format nvfp4 --scales search --device cuda:0
time convert lora --format fp8 --device cuda:0 --extract-lora 32
