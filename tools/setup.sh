#!/usr/bin/env bash
# Makes sure that everything uemu-llvm is built from is installed.
#
#   tools/setup.sh            install what is missing
#   tools/setup.sh --check    only say what is missing; exit status 1 if anything is
#
# On Debian and its relatives the packages below are looked up with dpkg-query, and apt-get runs only
# when one is missing: directly as root, through sudo otherwise, and if neither is possible the exact
# command to run is printed. Elsewhere the tools and headers themselves are looked for.
set -euo pipefail

packages=(
  gcc libc6-dev cmake ninja-build     # the build
  llvm-19-dev                         # the translator: LLVM's C API and ORC
  libzydis-dev libzycore-dev          # the instruction decoder
  zlib1g-dev                          # compressed stencil library and cache
  libcmocka-dev                       # unit tests
  gcc-multilib                        # i386 programs for the demo and the tests
)

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# The host: everything below fails confusingly elsewhere, so say it first.
system=$(uname -s) machine=$(uname -m)
[ "$system" = Linux ] || fail "uemu-llvm runs on Linux; this is $system." \
  "Use a Linux machine, a virtual machine, or a container on one."
[ "$machine" = x86_64 ] || fail "uemu-llvm needs an x86-64 host for now; this machine is $machine."

# Without dpkg there is nothing to install with: look for the things themselves.
check_without_dpkg() {
  local missing=() tool header
  for tool in gcc cmake ninja llvm-config-19; do
    command -v "$tool" >/dev/null || missing+=("the command $tool")
  done
  for header in Zydis/Zydis.h zlib.h cmocka.h; do
    if command -v gcc >/dev/null &&
      ! printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n#include <%s>\n' \
        "$header" | gcc -fsyntax-only -x c - 2>/dev/null; then
      missing+=("the header <$header>")
    fi
  done
  if [ ${#missing[@]} -gt 0 ]; then
    fail "this system has no dpkg (Debian, Ubuntu), so these must be installed by hand:" \
      "${missing[@]/#/  }" \
      "(LLVM 19 with its C API, Zydis 4, zlib, cmocka, CMake 3.25, Ninja; a gcc that knows -m32 for the tests)"
  fi
}

if ! command -v dpkg-query >/dev/null; then
  check_without_dpkg
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  # ${Status} is for dpkg-query, not for the shell.
  # shellcheck disable=SC2016
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
[ "${1-}" != --check ] || fail "missing packages: ${missing[*]}"

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" = 0 ]; then
  as_root=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
  as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
else
  fail "these packages are missing: ${missing[*]}" \
    "installing them needs root. Run this, then try again:" \
    "  sudo apt-get update && sudo ${install[*]}"
fi

say "installing ${missing[*]}"
say "+ apt-get update"
"${as_root[@]}" apt-get -qq update ||
  say "apt-get update failed (no network?); trying with the package lists that are here"
for package in "${missing[@]}"; do
  apt-cache show "$package" >/dev/null 2>&1 || fail \
    "no package $package in the package lists of this system ($(. /etc/os-release && echo "$PRETTY_NAME"))." \
    "Debian 12 and later have them all; for llvm-19 on older systems see https://apt.llvm.org." \
    "If the lists are empty or old, connect to the network and run: sudo apt-get update"
done
say "+ ${install[*]}"
"${as_root[@]}" "${install[@]}" || fail \
  "apt-get could not install the packages; its own message is above." \
  "Without a network, install them from a mirror or disc, then try again:" \
  "  ${install[*]}"
