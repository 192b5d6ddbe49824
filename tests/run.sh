#!/bin/sh
# Build and test everything. Quiet on success, loud on failure; run it as often as you like.
#
#   tests/run.sh            all phases, without the tests labelled "long" (ctest -LE long)
#   tests/run.sh --long     all phases, and the tests labelled "long"
#   tests/run.sh --fast     only the release build and its unit tests
#
# Each phase prints one line and keeps its output in build/log/<phase>.log; the end of the log is shown when it fails.
# Missing Debian packages are installed by cmake/install-deps.sh, Python packages into build/venv.
set -u

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
}

mode=normal
for argument in "$@"; do
    case "$argument" in
        --fast) mode=fast ;;
        --long) mode=long ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 1 ;;
    esac
done

root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
log_folder=$root/build/log
mkdir -p "$log_folder" || exit 1
n_failed=0
n_phases=0

. cmake/environment.sh

# phase <name> <words> <command...>: run it, print one line.
phase() {
    name=$1
    words=$2
    shift 2
    n_phases=$((n_phases + 1))
    log=$log_folder/$name.log
    started=$(date +%s)
    if "$@" >"$log" 2>&1; then
        verdict=ok
    else
        verdict=FAILED
        n_failed=$((n_failed + 1))
    fi
    printf '%-16s %-52s %6s %5d s\n' "$name" "$words" "$verdict" $(($(date +%s) - started))
    if [ "$verdict" = FAILED ]; then
        echo "---- end of ${log#"$root"/} ----"
        grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking)|^-- |Passed +[0-9.]+ sec$|^ +Start +[0-9]+: ' "$log" | tail -n 60
        echo "---------------------------------"
    fi
    # what ctest says at its end: "100% tests passed, 0 tests failed out of N"
    grep -E '^[0-9]+% tests passed, ' "$log" | sed "s/^/    /"
    [ "$verdict" = ok ]
}

# Quietest possible success: warnings show up in the log, errors stop it.
build() {
    configure "$@" && cmake --build "build/$1" --parallel "$n_cores"
}

# run_ctest <preset> <arguments...>
run_ctest() {
    folder=build/$1
    shift
    if [ "$mode" != long ]; then
        set -- "$@" -LE long
    fi
    (cd "$folder" && ctest --parallel "$n_cores" --output-on-failure --no-tests=error "$@")
}

# The mpirun of a preset's MPI.
launcher() {
    sed -n 's/^MPIEXEC_EXECUTABLE:FILEPATH=//p' "$root/build/$1/CMakeCache.txt"
}

# smoke <preset> [launcher...]: one whole run of the program.
smoke() {
    program=$root/build/$1/kdsweep
    shift
    "$program" --version || return 1
    "$program" --help >/dev/null || return 1
    work=$(mktemp -d) || return 1
    "$@" "$program" "$root/sweeps/smoke.cfg" --output "$work/smoke.h5" --progress none &&
        "$program" status "$work/smoke.h5" && "$program" verify "$work/smoke.h5" -k 1
    code=$?
    rm -rf "$work"
    return $code
}

# Under qemu vectors are some fifty times slower: what no instruction set changes is not repeated there, and what takes minutes only with
# --long. Of what is left the tests of the products, maps and golden numbers and the gradients of losses go through every kernel of NEON.
aarch64_tests='^unit\.(base|data|distill|metrics|nn|trial)\.|^kernels\.|^golden\.'
aarch64_slow='test_(net|golden_models|kernels_gemm|kernels_softmax|text)$'
if [ "$mode" = long ]; then
    aarch64_slow='^$'
fi
test_aarch64() {
    run_ctest aarch64 -R "$aarch64_tests" -E "$aarch64_slow"
}

# One seed, tail and temperature of the smoke sweep: 15 trials.
smoke_aarch64() {
    work=$(mktemp -d) || return 1
    sed 's/^seeds = .*/seeds = [0];/; s/ratio = \[1, 10\]/ratio = 10/; s/temperature = \[1, 2, 4\]/temperature = 2/' \
        "$root/sweeps/smoke.cfg" >"$work/smoke.cfg"
    set -- qemu-aarch64 -cpu cortex-a72 -L "$root/build/aarch64-root" "$root/build/aarch64/kdsweep"
    "$@" --version && "$@" --version | grep -q '^ISA *neon$' &&
        "$@" "$work/smoke.cfg" --output "$work/smoke.h5" --progress none &&
        "$@" verify "$work/smoke.h5" -k 1
    code=$?
    rm -rf "$work"
    return $code
}

started_all=$(date +%s)
finish() {
    minutes=$((($(date +%s) - started_all) / 60))
    seconds=$((($(date +%s) - started_all) % 60))
    if [ "$n_failed" -eq 0 ]; then
        echo "tests/run.sh: all $n_phases phases passed in $minutes min $seconds s"
        exit 0
    fi
    echo "tests/run.sh: $n_failed of $n_phases phases FAILED in $minutes min $seconds s; logs in build/log/"
    exit 1
}

if [ "$mode" = long ]; then
    echo "tests/run.sh: with the tests labelled long"
else
    echo "tests/run.sh: without the tests labelled long (ctest -LE long); --long runs them too"
fi

phase packages "system packages" sh cmake/install-deps.sh || finish
choose_generator # install-deps may just have brought it

if [ "$mode" = fast ]; then
    phase release-build "release: configure and build" build release || finish
    phase release-unit "release: unit tests" run_ctest release -L unit
    finish
fi

phase venv "Python packages in build/venv" make_venv || finish
if phase release-build "release: configure and build" build release; then
    phase release-test "release: all tests" run_ctest release
fi
if phase asan-build "address and undefined-behaviour sanitizers: build" build asan; then
    phase asan-test "sanitizers: unit, kernels, golden" run_ctest asan -L 'unit|kernels|golden'
    phase asan-smoke "sanitizers: one whole sweep" smoke asan
fi
# Its tests are those of the sanitizers, which are without MPI too: here only the program as it is installed.
if phase no-mpi-build "without MPI, serial HDF5: build" build no-mpi -DBUILD_TESTING=OFF; then
    phase no-mpi-smoke "without MPI: one whole sweep" smoke no-mpi
fi
if phase serial-hdf5-build "MPI on a serial HDF5: build" build serial-hdf5; then
    phase serial-hdf5-smoke "MPI on a serial HDF5: one whole sweep, 3 ranks" smoke serial-hdf5 "$(launcher serial-hdf5)" -n 3
fi
if command -v mpicc.mpich >/dev/null 2>&1 && command -v h5pcc.mpich >/dev/null 2>&1; then
    if phase mpich-build "MPICH: build" build mpich; then
        phase mpich-test "MPICH: MPI and store tests" run_ctest mpich -R '^mpi\.|^unit\.(store|farm)\.'
    fi
else
    echo "mpich            left out: no mpicc.mpich and h5pcc.mpich here"
fi
if [ "$(uname -m)" = aarch64 ]; then
    echo "aarch64          left out: this machine is one, the phases above have tested it"
elif ! command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 || ! command -v qemu-aarch64 >/dev/null 2>&1; then
    echo "aarch64          left out: no cross compiler or emulator here (Debian: gcc-aarch64-linux-gnu, qemu-user)"
elif ! sh cmake/aarch64-root.sh >"$log_folder/aarch64-root.log" 2>&1; then
    echo "aarch64          left out: no packages of arm64 from here, see build/log/aarch64-root.log"
elif phase aarch64-build "AArch64, warnings as errors: build" build aarch64; then
    phase aarch64-test "AArch64 under qemu: kernels, golden, unit" test_aarch64
    phase aarch64-smoke "AArch64 under qemu: one small sweep" smoke_aarch64
fi
command -v gcc >/dev/null 2>&1 && phase gcc-build "GCC, warnings as errors" build gcc
command -v clang >/dev/null 2>&1 && phase clang-build "Clang, warnings as errors" build clang
finish
