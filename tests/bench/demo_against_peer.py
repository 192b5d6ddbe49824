"""The demo grid by kdsweep and by the mpi4py + PyTorch script that a user would otherwise write (peer_sweep.py): wall time, core-seconds.

    python demo_against_peer.py KDSWEEP MPIRUN DEMO_CFG [--epochs 3] [--rounds 3] [--ranks 2]

Alternating rounds in one run, medians, ratios. Core-seconds are user + system time of all processes, with start-up.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("mpirun")
    parser.add_argument("grid")
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    peer = Path(__file__).with_name("peer_sweep.py")
    launch = [options.mpirun, "-np", str(options.ranks)]
    ours, theirs = [], []
    for i in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(timed([*launch, options.program, options.grid, "-o", f"{folder}/demo.h5", "--set", f"train.epochs={options.epochs}",
                               "--set", f"data.path={options.data}", "-q"]))
        theirs.append(timed([*launch, sys.executable, str(peer), options.data, "--epochs", str(options.epochs)]))
        print(f"round {i + 1}: kdsweep {ours[-1][0]:.1f} s wall, {ours[-1][1]:.1f} core-s; "
              f"mpi4py + PyTorch {theirs[-1][0]:.1f} s wall, {theirs[-1][1]:.1f} core-s", flush=True)
    print(f"\ndemo grid, {options.epochs} epochs, {options.ranks} ranks: median of {options.rounds} alternating rounds")
    for name, i in (("wall time", 0), ("core-seconds", 1)):
        a, b = statistics.median(r[i] for r in ours), statistics.median(r[i] for r in theirs)
        print(f"{name:<14} kdsweep {a:8.1f} s   mpi4py + PyTorch {b:8.1f} s   ratio {b / a:5.2f}")


if __name__ == "__main__":
    main()
