#!/bin/sh
# Make build/aarch64-root: the libraries of Debian's arm64 packages, for the preset aarch64 to link with and qemu to run with.
#
#   cmake/aarch64-root.sh
#
# Nothing foreign is installed: apt is given a state of its own, in which this machine is an empty arm64 one with the same sources, and the
# packages are only unpacked. Does nothing when they are there. Fails where the sources have no arm64 (Ubuntu keeps it on other servers).
set -eu
packages="libcmocka-dev libopenblas-pthread-dev libconfig-dev zlib1g-dev libhdf5-dev"
root=$(cd "$(dirname "$0")/.." && pwd)/build/aarch64-root
stamp=$root/kdsweep-stamp
if [ "$(cat "$stamp" 2>/dev/null)" = "$packages" ]; then
    exit 0
fi

rm -rf "$root"
mkdir -p "$root/apt/state/lists/partial" "$root/apt/cache/archives/partial"
: >"$root/apt/state/status"
apt() {
    apt-get -q -o Dir::State="$root/apt/state" -o Dir::State::status="$root/apt/state/status" \
        -o Dir::Cache="$root/apt/cache" -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o APT::Sandbox::User="$(id -un)" "$@"
}
apt update
apt -y --no-install-recommends --download-only install $packages
for package in "$root"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$root"
done
rm -rf "$root/apt" "$root/usr/share"

# What the packages leave to be done at the end of their installation, or take for granted of the machine they are installed on.
libraries=$root/usr/lib/aarch64-linux-gnu
find "$libraries" -maxdepth 1 -type l -lname '/*' | while read -r link; do
    ln -sf "../../..$(readlink "$link")" "$link"
done
ln -s openblas-pthread/libopenblas.so.0 openblas-pthread/libopenblas.so "$libraries/"
ln -s ../openblas-pthread/pkgconfig/openblas.pc "$libraries/pkgconfig/"
printf '%s\n' "$packages" >"$stamp"
