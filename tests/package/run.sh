#!/usr/bin/env bash
# Installs the build given as $1 into a fresh folder, builds a tiny outside project against the
# installed package, and converts a model with it.
set -euo pipefail
build=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
flags=$(sed -n 's/^CMAKE_CXX_FLAGS:STRING=//p' "$build/CMakeCache.txt")
cmake -S "$here/outside" -B "$work/outside" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_FLAGS="$flags" >"$work/log" ||
  { cat "$work/log"; exit 1; }
cmake --build "$work/outside" >"$work/log" || { cat "$work/log"; exit 1; }

# One 2x2 F32 weight: the header takes 64 bytes.
header='{"a.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}'
printf '\x40\x00\x00\x00\x00\x00\x00\x00%s' "$header" >"$work/in.safetensors"
printf '\x00\x00\x80\x3f\x00\x00\x00\x3f\x00\x00\x80\xbf\x00\x00\x00\x00' >>"$work/in.safetensors"
((${#header} == 64)) || { echo "the header has ${#header} bytes, 64 expected"; exit 1; }
"$work/outside/outside" "$work/in.safetensors" "$work/out.safetensors"
"$work/prefix/bin/halftone" inspect "$work/out.safetensors"
