#!/usr/bin/env bash
# The library neither prints nor ends the process, and asks the file system only in ways that report errors by a code: an
# std::filesystem_error is no Error.  None of its archives may refer to these symbols.
set -euo pipefail
# std::filesystem::status(path) and the like, without an error_code; ++ of its iterators.
throwing='_ZNSt10filesystem[0-9]+[a-z_]+ERKNS_7__cxx114pathE[S0-9_]*|_ZNSt10filesystem.*_iteratorppEv'
forbidden='^('"$throwing"'|printf|puts|putchar|perror|exit|_exit|abort|quick_exit|fputs|fprintf|vprintf|vfprintf|__printf_chk|__fprintf_chk|stdout|stderr|_ZSt4cout|_ZSt4cerr|_ZSt4clog|getenv|secure_getenv)$'

# Undefined symbols of an archive; fails where nm does.
undefined() {
  local listing
  listing=$(nm --undefined-only --format=posix "$1")
  awk '$2 == "U" {print $1}' <<<"$listing" | sort -u
}

# The check must be able to fail: a program that prints has to be caught.
self_test=$(mktemp -d)
trap 'rm -rf "$self_test"' EXIT
sees() {
  echo "$2" >"$self_test/f.cpp"
  c++ -std=c++20 -c "$self_test/f.cpp" -o "$self_test/f.o"
  undefined "$self_test/f.o" | grep -qE "$forbidden" || { echo "the check does not see $1"; exit 1; }
}
sees "a call to puts" 'extern "C" int puts(const char*); void f() { puts("x"); }'
sees "a question that throws" $'#include <filesystem>\nbool f(const std::filesystem::path& p) { return std::filesystem::exists(p); }'
sees "a folder that throws" $'#include <filesystem>\nvoid f(std::filesystem::directory_iterator& i) { ++i; }'

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
