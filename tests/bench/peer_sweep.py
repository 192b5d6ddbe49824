"""The script that a user would otherwise write for sweeps/demo.cfg: mpi4py and PyTorch, one thread per rank.

    mpirun -np 2 python peer_sweep.py DATA_FOLDER [--epochs 15] [--seeds 3]

Same grid, data, long tail, split, models, objectives, optimiser and evaluation as sweeps/demo.cfg: each teacher once, then every student
and baseline from the teacher's stored logits; per-epoch validation, test at the selected epochs; ranks take trials from a shared counter.
Written as a careful user would write it: the data set stays in memory as one tensor, no DataLoader, SGD without its slower variants.
"""

import argparse
import gzip
import itertools
import struct
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from mpi4py import MPI

OBJECTIVES = ("standard", "balanced", "robust")
TEMPERATURES, RATIOS, MAX_COUNT = (1, 2, 4), (1, 10, 100), 1000
TEACHER, STUDENT = (128,), (32,)
BATCH, LR, ROBUST_EVERY, ROBUST_STEP, CLASSES = 128, 0.1, 8, 0.1, 10


def read_idx(path):
    with gzip.open(path) as file:
        rank = struct.unpack(">I", file.read(4))[0] & 0xFF
        shape = struct.unpack(f">{rank}I", file.read(4 * rank))
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def load(folder):
    x, y, x_test, y_test = (read_idx(Path(folder) / name) for name in (
        "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"))
    order = np.random.default_rng(0).permutation(len(y_test))
    half = len(order) // 2
    flat = lambda a: torch.from_numpy(a.reshape(len(a), -1).copy())
    label = lambda a: torch.from_numpy(a.astype(np.int64))
    return {"train": (flat(x), label(y)), "validation": (flat(x_test[order[:half]]), label(y_test[order[:half]])),
            "test": (flat(x_test[order[half:]]), label(y_test[order[half:]]))}


def long_tail(data, ratio):
    x, y = data["train"]
    rng, keep = np.random.default_rng(0), []
    for c in range(CLASSES):
        members = np.flatnonzero(y.numpy() == c)
        keep.append(rng.permutation(members)[: int(MAX_COUNT * (1 / ratio) ** (c / (CLASSES - 1)))])
    keep = torch.from_numpy(np.sort(np.concatenate(keep)))
    x, y = x[keep].float(), y[keep]
    mean, deviation = x.mean(), x.std()
    scaled = {"train": ((x - mean) / deviation, y)}
    for part in ("validation", "test"):
        scaled[part] = ((data[part][0].float() - mean) / deviation, data[part][1])
    return scaled


def network(hidden, n_in):
    widths, layers = (n_in, *hidden, CLASSES), []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        layers += [torch.nn.Linear(a, b)] + ([torch.nn.ReLU()] if i < len(hidden) else [])
    return torch.nn.Sequential(*layers)


def train(data, hidden, objective, seed, epochs, teacher_logits=None, temperature=1.0):
    torch.manual_seed(seed)
    x, y = data["train"]
    model = network(hidden, x.shape[1])
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=1e-4, foreach=False)
    target = torch.nn.functional.one_hot(y, CLASSES).float() if teacher_logits is None else torch.softmax(teacher_logits / temperature, 1)
    marginal = target.mean(0).clamp_min(1e-12)
    multiplier = torch.full((CLASSES,), 1 / CLASSES)
    steps = -(-len(y) // BATCH)
    best = {"average": -1.0, "worst": -1.0}
    measures = {}

    def evaluate(part):
        xs, ys = data[part]
        with torch.no_grad():
            predicted = model(xs).argmax(1)
        counts = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
        counts.index_put_((ys, predicted), torch.ones_like(ys), accumulate=True)
        recall = counts.diagonal() / counts.sum(1).clamp_min(1)
        return recall, predicted

    offset = {"standard": torch.zeros(CLASSES), "balanced": marginal.log(), "robust": marginal.log() - multiplier.log()}[objective]
    for epoch in range(epochs):
        order = torch.randperm(len(y))
        for step in range(steps):
            now = epoch * steps + step
            if objective == "robust" and now % ROBUST_EVERY == 0:
                recall, _ = evaluate("validation")
                multiplier = multiplier * torch.exp(ROBUST_STEP * (1 - recall))
                multiplier = multiplier / multiplier.sum()
                offset = marginal.log() - multiplier.clamp_min(1e-12).log()
            rows = order[step * BATCH:(step + 1) * BATCH]
            at = now / steps
            rate = LR * (now + 1) / steps if at < 1 else LR * 0.5 * (1 + np.cos(np.pi * (at - 1) / (epochs - 1)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = torch.nn.functional.cross_entropy(model(x[rows]) + offset, target[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        recall, _ = evaluate("validation")
        chosen = []
        for name, value in (("average", recall.mean().item()), ("worst", recall.min().item())):
            if value > best[name]:
                best[name] = value
                chosen.append(name)
        if epoch + 1 == epochs:
            chosen.append("last")
        if chosen:
            test = evaluate("test")
            measures.update({name: test for name in chosen})
    with torch.no_grad():
        return model(x), measures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = MPI.COMM_WORLD
    counter = MPI.Win.Allocate(8 if world.rank == 0 else 0, 8, comm=world)
    if world.rank == 0:
        np.frombuffer(counter, np.int64)[:] = 0
    folder = Path(world.bcast(tempfile.mkdtemp() if world.rank == 0 else None))
    start, start_cpu = time.perf_counter(), time.process_time()
    data = load(options.folder)
    tails = {ratio: long_tail(data, ratio) for ratio in RATIOS}

    def share(trials, work, base):
        """Each rank takes the next trial from the shared counter."""
        while True:
            one, mine = np.ones(1, np.int64), np.zeros(1, np.int64)
            counter.Lock(0)
            counter.Fetch_and_op(one, mine, 0)
            counter.Unlock(0)
            if mine[0] >= base + len(trials):
                break
            work(trials[mine[0] - base])

    def teach(trial):
        ratio, objective, seed = trial
        logits, _ = train(tails[ratio], TEACHER, objective, seed, options.epochs)
        torch.save(logits, folder / f"{ratio}-{objective}-{seed}.pt")

    n_trained = 0

    def learn(trial):
        nonlocal n_trained
        ratio, teacher, student, temperature, seed = trial
        logits = None if teacher is None else torch.load(folder / f"{ratio}-{teacher}-{seed}.pt")
        train(tails[ratio], STUDENT, student, seed, options.epochs, logits, temperature)
        n_trained += 1

    seeds = range(options.seeds)
    teachers = list(itertools.product(RATIOS, OBJECTIVES, seeds))
    students = list(itertools.product(RATIOS, OBJECTIVES, OBJECTIVES, TEMPERATURES, seeds))
    students += [(ratio, None, objective, 1, seed) for ratio, objective, seed in itertools.product(RATIOS, OBJECTIVES, seeds)]
    share(teachers, teach, 0)
    world.Barrier()
    if world.rank == 0:
        np.frombuffer(counter, np.int64)[:] = 0
    world.Barrier()
    share(students, learn, 0)
    world.Barrier()
    wall = time.perf_counter() - start
    cpu = world.reduce(time.process_time() - start_cpu)
    total = world.reduce(n_trained)
    if world.rank == 0:
        print(f"{len(teachers) + total} trials wall {wall:.2f} cpu {cpu:.2f}")
    counter.Free()


if __name__ == "__main__":
    main()
