"""Training throughput against PyTorch on one core: alternating rounds in one run, medians, ratios.

    python train_throughput.py path/to/bench_train [--rounds 7] [--seconds 1.0]

Both sides do the same work for a mini-batch of 128: pick random rows of a byte data set, standardise, forward, cross-entropy against a
teacher's labels at T = 4, backward, SGD with momentum 0.9 and weight decay 1e-4. PyTorch runs with one thread and the best of its SGD
implementations (plain, foreach, fused). Nothing here passes or fails: it prints ratios.
"""

import argparse
import statistics
import subprocess
import time

import torch

N_EXAMPLES, N_FEATURES, N_CLASSES, BATCH = 10_000, 784, 10, 128
MODELS = {"784-64-10": (64,), "784-256-128-10": (256, 128), "784-1024-512-10": (1024, 512)}


def make_trainer(hidden, sgd):
    """A function that trains one mini-batch."""
    generator = torch.Generator().manual_seed(1)
    data = torch.randint(0, 256, (N_EXAMPLES, N_FEATURES), dtype=torch.uint8, generator=generator)
    teacher = 3 * torch.randn(N_EXAMPLES, N_CLASSES, generator=generator)
    widths = (N_FEATURES, *hidden, N_CLASSES)
    layers = []
    for i, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
        layers += [torch.nn.Linear(n_in, n_out)] + ([torch.nn.ReLU()] if i < len(hidden) else [])
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, **sgd)

    def step():
        rows = torch.randint(0, N_EXAMPLES, (BATCH,))
        x = data[rows].float().mul_(1 / 128).sub_(1.0)
        target = torch.softmax(teacher[rows] / 4, dim=1)
        loss = torch.nn.functional.cross_entropy(model(x), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def torch_round(step, seconds):
    for _ in range(20):
        step()
    n_steps, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        step()
        n_steps += 1
    return n_steps * BATCH / elapsed


def our_round(program, hidden, seconds):
    model = "mlp:" + "-".join(map(str, hidden))
    words = subprocess.run([program, model, str(seconds), str(BATCH)], check=True, capture_output=True, text=True).stdout.split()
    return float(words[0]), float(words[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"training throughput, one core, batch {BATCH}, distillation loss, momentum SGD; PyTorch {torch.__version__}, one thread")
    print(f"median of {options.rounds} alternating rounds of {options.seconds:g} s")
    print(f"{'model':<18}{'kdsweep img/s':>15}{'GFLOP/s':>9}{'PyTorch img/s':>15}{'its SGD':>9}{'ratio':>7}")
    for name, hidden in MODELS.items():
        sgd_kinds = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
        steps = {kind: make_trainer(hidden, arguments) for kind, arguments in sgd_kinds.items()}
        best = max(steps, key=lambda kind: torch_round(steps[kind], options.seconds / 2))
        ours, rates, theirs = [], [], []
        for _ in range(options.rounds):
            images, gflops = our_round(options.program, hidden, options.seconds)
            ours.append(images)
            rates.append(gflops)
            theirs.append(torch_round(steps[best], options.seconds))
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"{name:<18}{a:>15,.0f}{statistics.median(rates):>9.1f}{b:>15,.0f}{best:>9}{a / b:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
