#!/usr/bin/env bash
# Sets up and builds: installs what is missing (tools/setup.sh), configures build/ once, and builds the
# targets named, or everything.
#
#   tools/build.sh [TARGET…]
#
# UEMU_BUILD_DIR names another build folder. Quiet when there is nothing to do.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=${UEMU_BUILD_DIR:-$root/build}

# Standard output stays free for what runs next: an emulated program's own output, for one.
exec >&2

"$root/tools/setup.sh"
if [ ! -e "$build/build.ninja" ]; then
  echo "+ cmake -S $root -B $build -G Ninja"
  cmake -S "$root" -B "$build" -G Ninja || {
    echo "configuring failed. Remove $build and try again if it was made on another machine or by another CMake."
    exit 1
  }
fi

# A build that has nothing to do costs a few hundredths of a second and says nothing.
plan=$(ninja -C "$build" -n "$@" 2>&1) || {
  echo "$plan"
  exit 1
}
if [[ $plan != *"no work to do"* ]]; then
  echo "+ ninja -C $build $*"
  ninja -C "$build" "$@" || {
    echo "the build failed; the first error is above."
    exit 1
  }
fi
