#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that Halftone needs; prints nothing when all are present.
#
#   third_party/install.sh [GROUP ...]     GROUP: a name from the table below (default: build test)
set -euo pipefail

# What each group needs. VERSION stands for the LLVM version behind the distribution's `clang`.
declare -A packages_of=(
  [build]="cmake ninja-build g++ ccache make pkg-config
           nlohmann-json3-dev libcli11-dev libfmt-dev libre2-dev libxxhash-dev libeigen3-dev"
  [test]="libgtest-dev libgmock-dev libbenchmark-dev python3 python3-venv"
  [fuzz]="clang libclang-rt-VERSION-dev"
  [lint]="clang-format clang-tidy"
)
readonly oldest_cmake=3.25

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

# Prints the LLVM version behind `clang`, or nothing while neither the package nor the package lists are there.
clang_version() {
  { dpkg-query -W -f '${Depends}\n' clang || apt-cache show clang; } 2>/dev/null |
    sed -nE 's/(^|.*[ ,])clang-([0-9]+).*/\2/p' | sed -n 1p
}

# Prints those of the given packages that are not installed, with VERSION filled in where it is known.
missing_of() {
  local names=" $* " version installed package
  if [[ $names == *VERSION* ]]; then
    version=$(clang_version || true)
    names=${names//VERSION/${version:-VERSION}}
  fi
  # dpkg-query fails when it does not know a package, and still lists the others.
  # shellcheck disable=SC2016,SC2086  # the braces are dpkg's, and names is a list of words
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $names 2>/dev/null || true)
  for package in $names; do
    grep -qxF "installed $package" <<<"$installed" || echo "$package"
  done
}

as_root() {
  if ((EUID == 0)); then
    DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# Quiet, no terminal tricks in logs, and patient with a system that is updating itself right now.
apt() {
  as_root apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >&2
}

check_cmake() {
  local found older
  found=$(cmake --version | sed -nE '1s/.*version ([0-9.]+).*/\1/p')
  older=$(printf '%s\n' "$oldest_cmake" "$found" | sort -V | sed -n 1p)
  [[ $older == "$oldest_cmake" ]] ||
    fail "CMake $oldest_cmake or newer is needed, but $(command -v cmake) is version $found."
}

if (($# == 0)); then set -- build test; fi
wanted=()
for group in "$@"; do
  [[ -n ${packages_of[$group]:-} ]] ||
    fail "unknown group '$group'; there are: $(printf '%s\n' "${!packages_of[@]}" | sort | xargs)."
  read -rd '' -a names <<<"${packages_of[$group]}" || true # -d '': over line ends, which read reports as 1
  wanted+=("${names[@]}")
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  fail "this is neither Debian nor Ubuntu; please install what these packages hold: ${wanted[*]}."
fi

mapfile -t missing < <(missing_of "${wanted[@]}")
if ((${#missing[@]} > 0)); then
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    fail "these packages are missing, and installing them needs root or sudo: ${missing[*]}."
  fi
  apt update
  mapfile -t missing < <(missing_of "${wanted[@]}") # the package lists may tell VERSION only now
  echo "install.sh: installing ${missing[*]}" >&2
  apt install -y --no-install-recommends "${missing[@]}"
fi

for group in "$@"; do
  if [[ $group == build ]]; then check_cmake; fi
done
