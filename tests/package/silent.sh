#!/usr/bin/env bash
# The library neither prints nor ends the process: none of its archives may refer to these symbols.
set -euo pipefail
forbidden='^(printf|puts|putchar|perror|exit|_exit|abort|quick_exit|fputs|fprintf|vprintf|vfprintf|__printf_chk|__fprintf_chk|stdout|stderr|_ZSt4cout|_ZSt4cerr|_ZSt4clog|getenv|secure_getenv)$'

# Undefined symbols of an archive; fails where nm does.
undefined() {
  local listing
  listing=$(nm --undefined-only --format=posix "$1")
  awk '$2 == "U" {print $1}' <<<"$listing" | sort -u
}

# The check must be able to fail: a program that prints has to be caught.
self_test=$(mktemp -d)
trap 'rm -rf "$self_test"' EXIT
echo 'extern "C" int puts(const char*); void f() { puts("x"); }' >"$self_test/f.cpp"
c++ -c "$self_test/f.cpp" -o "$self_test/f.o"
undefined "$self_test/f.o" | grep -qE "$forbidden" || { echo "the check does not see a call to puts"; exit 1; }

status=0
for archive in "$@"; do
  symbols=$(undefined "$archive")
  [[ -n $symbols ]] || { echo "$archive has no undefined symbols: is it an archive?"; exit 1; }
  if found=$(grep -E "$forbidden" <<<"$symbols"); then
    echo "$archive refers to: ${found//$'\n'/ }"
    status=1
  fi
done
exit $status
