#!/bin/sh
# The benchmarks: each compares in one run, alternating, and prints ratios; none passes or fails on time.
#
#   tests/bench/run.sh              all of them
#   tests/bench/run.sh train        training throughput against PyTorch
#   tests/bench/run.sh layers       the products of single layers against oneDNN through PyTorch
#   tests/bench/run.sh products     the products of dense layers against OpenBLAS
#   tests/bench/run.sh memory       memory of one training process against PyTorch
#   tests/bench/run.sh fused        what fusing the steps of several students could gain
#   tests/bench/run.sh farm         coordinator time and utilisation, 64 ranks, fake 20 ms trials
#   tests/bench/run.sh sweep        the demo grid against mpi4py + PyTorch
#
# PyTorch and mpi4py go into build/bench-venv, what torch.compile makes (it needs a C++ compiler) into build/bench-inductor; kdsweep never
# needs them.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
. cmake/environment.sh
mkdir -p build/log
which=${1:-all}
case "$which" in all | train | layers | products | memory | fused | farm | sweep) ;; *)
    sed -n '2,/^#$/!{/^#   /s/^#   //p}' "$0"
    exit 1
    ;;
esac

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
core=$("$python" -c 'import os; print(max(os.sched_getaffinity(0)))') # the one that torch_side.py takes, too
echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $n_cores cores, load $(cut -d ' ' -f 1 /proc/loadavg)"
cc=$(sed -n 's/^CMAKE_C_COMPILER:[^=]*=//p' build/release/CMakeCache.txt)
echo "system: $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), Linux $(uname -r), $("$cc" --version | head -n 1)"
build/release/kdsweep --version
echo

wants() {
    case "$which" in all | "$1") return 0 ;; esac
    return 1
}
tests=build/release/tests
if wants train; then "$python" tests/bench/train_throughput.py $tests/bench_train; echo; fi
if wants layers; then "$python" tests/bench/layer_throughput.py $tests/bench_layers; echo; fi
if wants products; then taskset -c "$core" $tests/bench_products; echo; fi
if wants memory; then "$python" tests/bench/train_memory.py $tests/bench_train; echo; fi
if wants fused; then taskset -c "$core" $tests/bench_fused; echo; fi
if wants farm; then "$mpirun" -np 64 $tests/bench_farm; echo; fi
if wants sweep; then "$python" tests/bench/demo_against_peer.py build/release/kdsweep "$mpirun" sweeps/demo.cfg; fi
