"""sweeps/fashion-resnet20.cfg: a residual network trained by the shipped recipe is as good as it should be. Half an hour on one core."""

from pathlib import Path

import pytest

from harness import SOURCE, STATUS, rows
from kdsweep_analysis import schema

DATA = Path("/usr/share/datasets/fashion-mnist")  # as in the grid
AT_LEAST = 0.93

needs_data = pytest.mark.skipif(
    not list(DATA.glob("train-images-idx3-ubyte*")), reason=f"no Fashion-MNIST in {DATA} (Debian: dataset-fashion-mnist)"
)


@needs_data
def test_resnet20_learns_fashion_mnist(kds, capsys):
    kds.run(SOURCE / "sweeps" / "fashion-resnet20.cfg", "-o", "resnet20.h5", timeout=3 * 3600)
    made = rows(kds.folder / "resnet20.h5")
    teachers = [i for i, role in enumerate(made["role"]) if schema.ROLES[role] == "teacher"]
    assert len(teachers) == 1
    assert made["status"][teachers[0]] == STATUS["done"]

    # Of the last epoch, which nothing selects: the validation half is as good a test as the other.
    counts = made["counts"][teachers[0], schema.SELECTIONS.index("last")].astype(int)
    accuracy = {name: counts[i].trace() / counts[i].sum() for i, name in enumerate(schema.SPLITS)}
    whole = counts.sum(axis=0)
    with capsys.disabled():
        print(f"\nresnet20 on Fashion-MNIST: test accuracy {accuracy['test']:.4f}, validation {accuracy['validation']:.4f}, ", end="")
        print(f"both halves together {whole.trace() / whole.sum():.4f}")
    assert whole.sum() == 10000
    assert accuracy["test"] >= AT_LEAST
