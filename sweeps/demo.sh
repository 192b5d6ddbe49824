#!/bin/sh
# See kdsweep at work: install what is missing, build, sweep Fashion-MNIST on all cores, show the table, write the report.
#
#   sweeps/demo.sh            sweeps/demo.cfg; may be stopped and started again: it goes on where it was
#   sweeps/demo.sh GRID.cfg   the same with another grid
#
# Everything it makes is in build/: the program in build/release/kdsweep, results and report in build/demo/.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
grid=${1:-$root/sweeps/demo.cfg}
case "$grid" in
    /*) ;;
    -h | --help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
        exit 0
        ;;
    *) grid=$(pwd)/$grid ;;
esac
cd "$root"
. cmake/environment.sh
mkdir -p build/log build/demo

# step <words> <command...>: quiet when it works, the end of its output when it does not.
step() {
    words=$1
    shift
    printf '%s ...\n' "$words"
    if ! "$@" >build/log/demo.log 2>&1; then
        tail -n 40 build/log/demo.log
        echo "demo: failed: $words (all of its output: build/log/demo.log)" >&2
        exit 1
    fi
}

build_release() {
    configure release && cmake --build build/release --target kdsweep --parallel "$n_cores"
}

step "Installing what is missing" sh cmake/install-deps.sh --demo
choose_generator
step "Building kdsweep" build_release
step "Preparing Python in build/venv" make_venv

# The launcher of the MPI that it was built with: a machine may have several.
mpirun=$(sed -n 's/^MPIEXEC_EXECUTABLE:FILEPATH=//p' build/release/CMakeCache.txt)
name=$(basename "$grid" .cfg)
results=build/demo/$name.h5
echo "mpirun -np $n_cores kdsweep $(basename "$grid")"
code=0
"$mpirun" -np "$n_cores" build/release/kdsweep "$grid" --output "$results" || code=$?
case "$code" in
    0 | 4) ;; # 4: some trials diverged or failed; the report says which
    75) echo "demo: stopped; run it again to go on" >&2; exit 75 ;;
    *) exit "$code" ;;
esac
echo
build/venv/bin/python -m kdsweep_analysis summary "$results"
build/venv/bin/python -m kdsweep_analysis report "$results" -o "build/demo/$name-report" >/dev/null
echo
echo "results:  $results"
echo "report:   build/demo/$name-report/index.html"
