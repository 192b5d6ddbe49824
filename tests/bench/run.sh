#!/bin/sh
# The benchmarks: each compares in one run, alternating, and prints ratios; none passes or fails on time.
#
#   tests/bench/run.sh              all three
#   tests/bench/run.sh train        training throughput against PyTorch
#   tests/bench/run.sh farm         coordinator time and utilisation, 64 ranks, fake 20 ms trials
#   tests/bench/run.sh sweep        the demo grid against mpi4py + PyTorch
#
# PyTorch and mpi4py go into build/bench-venv; kdsweep never needs them.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
. cmake/environment.sh
mkdir -p build/log
which=${1:-all}

bench_venv() {
    python=build/bench-venv/bin/python
    if ! "$python" -c 'import torch, mpi4py, numpy' >/dev/null 2>&1; then
        base=/usr/bin/python3
        [ -x "$base" ] || base=python3
        "$base" -m venv build/bench-venv
        "$python" -m pip install -q --disable-pip-version-check torch==2.13.0 numpy mpi4py
    fi
}

sh cmake/install-deps.sh
choose_generator
{ configure release && cmake --build build/release --parallel; } >build/log/bench-build.log 2>&1 || {
    tail -n 40 build/log/bench-build.log
    exit 1
}
bench_venv
python=build/bench-venv/bin/python
mpirun=$(sed -n 's/^MPIEXEC_EXECUTABLE:FILEPATH=//p' build/release/CMakeCache.txt)
echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $n_cores cores"
build/release/kdsweep --version
echo

case "$which" in all | train) "$python" tests/bench/train_throughput.py build/release/tests/bench_train; echo ;; esac
case "$which" in all | farm) "$mpirun" -np 64 build/release/tests/bench_farm; echo ;; esac
case "$which" in all | sweep) "$python" tests/bench/demo_against_peer.py build/release/kdsweep "$mpirun" sweeps/demo.cfg ;; esac
