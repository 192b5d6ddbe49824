#!/bin/sh
# Install what kdsweep is built and tested with, on Debian and Ubuntu. Does nothing when everything is there.
#
#   cmake/install-deps.sh           all packages: build, both MPIs, serial HDF5, tests, lint
#   cmake/install-deps.sh --build   only what the default build needs
#   cmake/install-deps.sh --demo    what sweeps/demo.sh needs: build, Python, Fashion-MNIST
#   cmake/install-deps.sh --print   print the packages, install nothing
set -eu

build_packages="build-essential cmake pkg-config ninja-build
    openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libopenblas-dev libconfig-dev zlib1g-dev"
test_packages="libcmocka-dev libhdf5-dev mpich libmpich-dev libhdf5-mpich-dev clang
    python3 python3-venv hdf5-tools"
# Nice to have: without them a test is skipped and says so, or the sweeps on Fashion-MNIST say where to get the data.
optional_packages="clang-format-14 clang-format dataset-fashion-mnist netcdf-bin r-cran-hdf5r r-bioc-rhdf5
    gcc-aarch64-linux-gnu qemu-user"

packages="$build_packages $test_packages"
optional="$optional_packages"
case "${1:-}" in
    "") ;;
    --build) packages="$build_packages"; optional="" ;;
    --demo) packages="$build_packages python3 python3-venv dataset-fashion-mnist"; optional="" ;;
    --print) echo $build_packages $test_packages $optional_packages; exit 0 ;;
    *) echo "usage: cmake/install-deps.sh [--build|--demo|--print]" >&2; exit 1 ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    echo "install-deps: not a Debian system; taking for granted that these are there:" $packages >&2
    exit 0
fi

is_installed() {
    case "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" in
        *"ok installed"*) return 0 ;;
    esac
    case "$1" in # the same thing under another name
        pkg-config) command -v pkg-config >/dev/null 2>&1 ;;
        build-essential) command -v cc >/dev/null 2>&1 && command -v make >/dev/null 2>&1 ;;
        cmake) command -v cmake >/dev/null 2>&1 ;;
        clang) command -v clang >/dev/null 2>&1 ;;
        *) return 1 ;;
    esac
}

missing=""
for package in $packages; do
    is_installed "$package" || missing="$missing $package"
done
wanted=""
for package in $optional; do
    is_installed "$package" || wanted="$wanted $package"
done

# The optional ones alone are no reason to ask for rights.
[ -n "$missing" ] || [ -n "$wanted" ] || exit 0
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then
    as_root="sudo -n"
elif [ -n "$missing" ] && [ -t 0 ] && command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
elif [ -z "$missing" ]; then
    exit 0
else
    echo "install-deps: packages are missing and may not be installed from here. Please run:" >&2
    echo "    apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends "$@" >>"$log" 2>&1
}
if [ -n "$missing" ]; then
    apt install $missing || { apt update && apt install $missing; } || {
        tail -n 30 "$log" >&2
        echo "install-deps: could not install:$missing" >&2
        exit 1
    }
fi
for package in $wanted; do # one by one, and quietly: not every release has them all
    if apt-cache show "$package" >/dev/null 2>&1; then
        apt install "$package" || true
    fi
done
