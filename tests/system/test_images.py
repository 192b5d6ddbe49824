"""Convolutional models, augmentation and live teachers: the same bits on any number of ranks, killed, stopped and resumed."""

import random
import shutil
import signal
import time

import h5py
import numpy as np
import pytest

from harness import Program, assert_identical, needs_mpi, rows, wait_until
from test_exactly_once import Sweep

GRID = """\
name = "images";
output = "images.h5";
seeds = [0, 1];
data = { source = "hdf5"; path = "PATH"; standardize = "channel";
  imbalance = { ratio = 4; }; augment = { pad = [0, 2]; flip = true; }; };
teacher = { model = "resnet8x4"; objective = ["standard", "robust"]; shortcut = "projection"; };
student = { model = ["lenet5", "resnet8x6"]; objective = ["standard", "robust"]; temperature = 3;
  augmented_labels = ["live", "cached"]; };
train = { epochs = 3; batch = 24; lr = 0.02; weight_decay = 1e-3; decay_biases = true; };
robust = { every = 3; };
store = { parameters = true; };
"""


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory):
    """Colour images of 13 x 13 pixels, five classes that differ in colour and in where they are bright, two groups."""
    folder = tmp_path_factory.mktemp("images")
    chance = np.random.default_rng(7)
    with h5py.File(folder / "data.hdf5", "w") as file:
        for part, n in (("train", 300), ("test", 200)):
            y = np.arange(n) % 5
            x = chance.integers(0, 120, (n, 13, 13, 3))
            for i in range(n):
                x[i, 2 * y[i] : 2 * y[i] + 4, :, y[i] % 3] += 90
            file[f"{part}/x"], file[f"{part}/y"] = x.astype(np.uint8), y
            file[f"{part}/group"] = chance.integers(0, 2, n)
    path = folder / "images.cfg"
    path.write_text(GRID.replace("PATH", str(folder / "data.hdf5")), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def reference(sweep_file, tmp_path_factory):
    program = Program(tmp_path_factory.mktemp("reference"))
    program.run(str(sweep_file), "-o", "images.h5")
    return program.folder / "images.h5"


def test_something_was_learned_and_everything_differs(reference):
    """A test of bits alone would pass on zeros: trials that differ in a key have different bits, and they learn."""
    found = rows(reference)
    assert (found["status"] == 1).all()
    accuracy = found["accuracy"][:, 0, 1]  # after some 20 steps
    assert accuracy.max() > 0.8 and accuracy.mean() > 0.25, "chance is 0.2"
    students = np.flatnonzero(found["role"] == 1)
    losses = [found["train_loss"][i].tobytes() for i in students]
    assert len(set(losses)) == len(students), "live and cached labels, models, seeds or augmentations made no difference"


@needs_mpi
@pytest.mark.parametrize("np_", [1, 2, 3, 5, 64])
def test_any_number_of_ranks(kds, sweep_file, reference, np_):
    kds.run(str(sweep_file), "-o", "images.h5", np=np_)
    assert_identical(reference, kds.folder / "images.h5")


@needs_mpi
def test_killed_and_stopped(kds, sweep_file, reference):
    """kill -9 and SIGTERM, so that some trials go on from checkpoints."""
    chance = random.Random(3)
    sweep = Sweep(kds, [str(sweep_file), "--progress", "none"], reference)
    n_interrupted = 0
    for i in range(8):
        np_ = chance.choice([None, 2, 3])
        running = sweep.start(np_, "all")
        wanted = sweep.n_known() + chance.randint(1, 5)
        wait_until(lambda: sweep.watch.n_finished() >= wanted or not running.is_running(), f"{wanted} rows", pause=0.002)
        time.sleep(chance.uniform(0, 0.1))
        ranks = list(running.ranks()) if np_ else []
        n_interrupted += running.signal(signal.SIGKILL if i % 2 else signal.SIGTERM, chance.choice(ranks) if ranks else None)
        running.wait()
        kds.wait_for_end_of_all()
        sweep.check(f"interruption {i + 1}")
    assert n_interrupted >= 3, "the sweep was faster than the signals: give it more epochs"
    sweep.start(2, "all").wait().expect(0)
    sweep.check("at the end")
    assert_identical(reference, sweep.path)


def test_verify(kds, sweep_file, reference):
    """Trained again, trial by trial, from stored labels or live teachers: not a bit differs."""
    shutil.copy(reference, kds.folder / "images.h5")
    shutil.copytree(reference.with_suffix(".work"), kds.folder / "images.work")
    done = kds.run("verify", "images.h5", "-k", "12")
    assert "12 of 12" in done.out, str(done)
