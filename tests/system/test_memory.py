"""Memory: the data set is there once, however many ranks there are, and a rank takes what `plan` says."""

import os
import re
import signal
import time
from pathlib import Path

import h5py
import numpy as np

from harness import needs_mpi, wait_until

MIB = 1 << 20
N_FEATURES, N_TEST = 3072, 4000
N_TRAIN = 64000  # 64000 * 3072 bytes: 188 MiB
RANK_MIB = 40  # what a rank may take beside its model and workspace: MPI, HDF5, BLAS

GRID = """\
name = "memory";
output = "memory.h5";
seeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
         24, 25, 26, 27, 28, 29, 30, 31];
data = { source = "hdf5"; path = "data.hdf5"; imbalance = { max_count = 60; }; };
teacher = { model = "mlp:64"; objective = ["standard", "balanced"]; };
student = { model = "mlp:32"; objective = ["standard", "balanced"]; temperature = [1, 2]; };
train = { epochs = 1000; batch = 50; lr = 0.01; };
store = { predictions = "no"; };
"""


def write_data(path):
    chance = np.random.default_rng(5)
    with h5py.File(path, "w") as file:
        for part, n in (("train", N_TRAIN), ("test", N_TEST)):
            x = file.create_dataset(f"{part}/x", (n, N_FEATURES), np.uint8)
            for start in range(0, n, 4000):
                x[start : start + 4000] = chance.integers(0, 256, (min(4000, n - start), N_FEATURES), dtype=np.uint8)
            file[f"{part}/y"] = np.arange(n) % 10


def memory_of(pid):
    """Bytes of a process by the kernel's account: PSS (shared pages divided among those that map them), what is
    its alone outside of the data set, and the size of its mapping of the data set."""
    pss = private = mapped = 0
    in_data = False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            in_data = "memfd:kdsweep-data" in line
        elif words[0] == "Pss:":
            pss += int(words[1]) << 10
        elif words[0] in {"Private_Clean:", "Private_Dirty:"} and not in_data:
            private += int(words[1]) << 10
        elif words[0] == "Size:" and in_data:
            mapped += int(words[1]) << 10
    return pss, private, mapped


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def planned(out, words):
    found = re.search(rf"^  {words} +([\d.]+) (\w+)$", out, re.M)
    assert found, f"plan says nothing of {words!r}\n{out}"
    return float(found[1]) * {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[found[2]]


@needs_mpi
def test_64_ranks_share_one_data_set(kds, capsys):
    data = kds.folder / "data.hdf5"
    write_data(data)
    (kds.folder / "memory.cfg").write_text(GRID, encoding="utf-8")
    try:
        plan = kds.run("plan", "memory.cfg", "--ranks", "64").out
        data_bytes, trial_bytes = planned(plan, "data set, once per node"), planned(plan, "largest trial, per rank")
        row_bytes = planned(plan, "row, labels, jobs, per rank")
        raw = (N_TRAIN + N_TEST) * N_FEATURES
        assert raw <= data_bytes < 1.02 * raw + MIB, f"{data_bytes / MIB:.1f} MiB planned for {raw / MIB:.1f} MiB"

        n_ranks = 64
        running = kds.start("memory.cfg", "--progress", "none", np=n_ranks)
        wait_until(lambda: "to train on" in running.stderr() or not running.is_running(), "the beginning", 120, 0.05)
        ranks = running.ranks()
        assert len(ranks) == n_ranks, f"{len(ranks)} ranks\n{running.stderr()}"
        begun = {rank: cpu_seconds(pid) for rank, pid in ranks.items()}  # 64 teachers come first: work for everybody
        wait_until(
            lambda: all(cpu_seconds(pid) > begun[rank] + 0.08 for rank, pid in ranks.items()),
            "all ranks at work",
            120,
            0.2,
        )
        measured = [memory_of(pid) for pid in ranks.values()]
        running.signal(signal.SIGTERM, 0)
        running.wait().expect(75)

        all_pss = sum(pss for pss, _, _ in measured)
        beside = (all_pss - data_bytes) / n_ranks
        worst = max(private for _, private, _ in measured)
        with capsys.disabled():
            print(
                f"\n  {n_ranks} ranks: {all_pss / MIB:.0f} MiB (PSS), data set {data_bytes / MIB:.0f} MiB once, "
                f"beside it {beside / MIB:.1f} MiB a rank (plan: trial {trial_bytes / MIB:.1f}, "
                f"row and labels {row_bytes / MIB:.1f}), "
                f"largest private {worst / MIB:.1f} MiB"
            )
        assert all(abs(size - data_bytes) <= MIB for _, _, size in measured), "a rank has no shared data set"
        assert beside < trial_bytes + row_bytes + RANK_MIB * MIB, (
            f"{beside / MIB:.1f} MiB a rank, planned {(trial_bytes + row_bytes) / MIB:.1f} and {RANK_MIB} for libraries"
        )
        assert worst < trial_bytes + row_bytes + RANK_MIB * MIB, f"a rank keeps {worst / MIB:.1f} MiB for itself"
        assert beside > 0.5 * trial_bytes, "nobody has a workspace: looked too early"
    finally:
        data.unlink()
    assert not list(Path("/dev/shm").glob("kdsweep*")), "something was left in /dev/shm"


RESNET = """\
name = "resnet56";
output = "resnet56.h5";
data = { source = "hdf5"; path = "images.hdf5"; augment = { pad = 2; flip = true; }; };
teacher = { model = "resnet56"; };
student = { model = "mlp"; baseline = false; };
train = { epochs = 1; batch = 128; };
"""


def test_plan_knows_the_memory_of_a_residual_network(kds, capsys):
    """Data, trial and row by `plan` against the most memory that the process ever had, beside what it has with a small model."""
    chance = np.random.default_rng(6)
    with h5py.File(kds.folder / "images.hdf5", "w") as file:
        for part in ("train", "test"):
            file[f"{part}/x"] = chance.integers(0, 256, (128, 32, 32, 3), dtype=np.uint8)
            file[f"{part}/y"] = np.arange(128) % 10

    def peak_of(name, model):
        (kds.folder / name).write_text(RESNET.replace("resnet56", model), encoding="utf-8")
        plan = kds.run("plan", name).out
        running = kds.start(name, "--progress", "none")
        peak = 0
        while running.is_running():  # not wait4's ru_maxrss: that begins with what this Python had when it forked
            for pid in kds.alive():
                try:
                    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
                except OSError:
                    continue
                peak = max(peak, int(found[1]) << 10 if found else 0)
            time.sleep(0.002)
        running.wait().expect(0)
        return planned(plan, "largest trial, per rank"), peak

    small_plan, small_peak = peak_of("small.cfg", "mlp:8")
    large_plan, large_peak = peak_of("large.cfg", "resnet56")
    planned_more, measured_more = large_plan - small_plan, large_peak - small_peak
    with capsys.disabled():
        print(
            f"\n  resnet56 at batch 128: {large_plan / MIB:.0f} MiB planned for the trial; the process takes "
            f"{large_peak / MIB:.0f} MiB, {measured_more / MIB:.0f} MiB more than with a small model (planned {planned_more / MIB:.0f})"
        )
    assert abs(measured_more - planned_more) < 0.05 * measured_more
    assert abs(large_peak - large_plan) < 0.05 * large_peak + RANK_MIB * MIB  # libraries, data set, row
