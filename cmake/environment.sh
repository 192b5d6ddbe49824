# What tests/run.sh and sweeps/demo.sh have in common; to be sourced, with $root set to the folder of the project.

n_cores=$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2) # nproc obeys OMP_NUM_THREADS: ask before it is set

# Containers: root may run Open MPI, more ranks than cores are fine, and one thread per rank.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

choose_generator() {
    if command -v ninja >/dev/null 2>&1; then
        export CMAKE_GENERATOR="${CMAKE_GENERATOR:-Ninja}"
    fi
}
choose_generator

configure() {
    preset=$1
    shift
    # A build folder of another generator cannot be reused.
    cache=$root/build/$preset/CMakeCache.txt
    if [ -n "${CMAKE_GENERATOR:-}" ] && [ -f "$cache" ] &&
        ! grep -q "^CMAKE_GENERATOR:INTERNAL=$CMAKE_GENERATOR\$" "$cache"; then
        rm -rf "$root/build/$preset/CMakeCache.txt" "$root/build/$preset/CMakeFiles"
    fi
    cmake --preset "$preset" "$@"
}

# The Python that makes the venv: the system's first, it matches python3-venv; then whatever is called python3.
make_venv() {
    venv=$root/build/venv
    if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import sys' >/dev/null 2>&1; then
        rm -rf "$venv"
        made=no
        for python in /usr/bin/python3 "$(command -v python3)"; do
            if [ -x "$python" ] && "$python" -m venv "$venv"; then
                made=yes
                break
            fi
            rm -rf "$venv"
        done
        [ "$made" = yes ] || { echo "no python3 that can make a venv (Debian: python3-venv)"; return 1; }
    fi
    stamp=$venv/kdsweep-stamp
    project=$root/analysis/pyproject.toml
    if [ -f "$project" ]; then
        hash=$(sha256sum <"$project")
    else
        hash="only pytest"
    fi
    if [ "$(cat "$stamp" 2>/dev/null)" != "$hash" ]; then
        rm -f "$stamp"
        "$venv/bin/python" -m pip install -q --disable-pip-version-check pytest || return 1
        if [ -f "$project" ]; then
            "$venv/bin/python" -m pip install -q --disable-pip-version-check -e "$root/analysis[test]" || return 1
        fi
        printf '%s\n' "$hash" >"$stamp"
    fi
}
