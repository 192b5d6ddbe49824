"""The other side of the training benchmarks, and what their scripts share: PyTorch on one core, our programs on the same core.

The same networks, data, batch, loss (cross-entropy against a teacher's labels at T = 4) and optimiser (SGD, momentum 0.9, weight decay
1e-4 on everything) as student.h. PyTorch runs with one thread, in every combination of eager or compiled and of its two memory layouts,
with the fastest of its SGD implementations.
"""

import os
import re
import statistics
import subprocess
import time
from pathlib import Path

# Compiled kernels are kept from run to run beside the builds, not in the folder for temporary files.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(__file__).resolve().parents[2] / "build" / "bench-inductor"))

import torch  # noqa: E402  (reads the environment)
from torch import nn  # noqa: E402

N_EXAMPLES, N_CLASSES, BATCH = 10_000, 10, 128
SGD_KINDS = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
ALL_CORES = os.sched_getaffinity(0)
CORE = max(ALL_CORES)


def use_one_core():
    """This thread and every program it starts from now on."""
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {CORE})


def ours(program, *arguments):
    """One of our programs on the same core; its line of name=value as a dictionary."""
    run = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"{Path(program).name} {' '.join(map(str, arguments))}: {run.stderr.strip() or f'ended with {run.returncode}'}")
    words = dict(word.split("=") for word in run.stdout.split())
    return {name: value if name == "isa" else float(value) for name, value in words.items()}


def seconds_per_call(call, seconds, minimum=2):
    """As in measure.h: at least `minimum` calls and at least `seconds`, after a tenth of that to warm up."""
    start = time.perf_counter()
    while True:
        call()
        if time.perf_counter() - start >= 0.1 * seconds:
            break
    n_calls, start = 0, time.perf_counter()
    while True:
        call()
        n_calls += 1
        elapsed = time.perf_counter() - start
        if elapsed >= seconds and n_calls >= minimum:
            return elapsed / n_calls


def versions():
    onednn = re.search(r"MKL-DNN v([\d.]+)", torch.__config__.show())
    return f"PyTorch {torch.__version__} (oneDNN {onednn[1] if onednn else '?'}, {torch.backends.cpu.get_cpu_capability()}), one thread"


def table(*columns):
    """The head of a table as the README has it; returns what prints a row."""
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    return lambda *cells: print("| " + " | ".join(map(str, cells)) + " |", flush=True)


# ---- networks ----------------------------------------------------------------------------------------------------------


def mlp(*hidden):
    widths, layers = (784, *hidden, N_CLASSES), []
    for i, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
        layers += [nn.Linear(n_in, n_out)] + ([nn.ReLU()] if i < len(hidden) else [])
    return nn.Sequential(*layers)


def lenet5():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, N_CLASSES))


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.norm2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.stride, self.n_new = stride, n_out - n_in

    def forward(self, x):
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:  # the shortcut without parameters
            x = nn.functional.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, 0, self.n_new))
        return torch.relu(y + x)


def resnet(depth):
    layers, n_in = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage in range(3):
        for block in range((depth - 2) // 6):
            layers.append(Block(n_in, 16 << stage, 2 if stage > 0 and block == 0 else 1))
            n_in = 16 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, N_CLASSES))


class Network:
    """A model by our name, on images of the shape that we train it on."""

    def __init__(self, name, model, make, size=28, channels=1, rounds=7, seconds=1.0):
        self.name, self.model, self.make, self.size, self.channels = name, model, make, size, channels
        self.rounds, self.seconds = rounds, seconds
        self.has_maps = not model.startswith("mlp")

    def layouts(self):
        return ("contiguous", "channels_last") if self.has_maps else ("contiguous",)


NETWORKS = [
    Network("784-64-10", "mlp:64", lambda: mlp(64)),
    Network("784-256-128-10", "mlp:256-128", lambda: mlp(256, 128)),
    Network("784-1024-512-10", "mlp:1024-512", lambda: mlp(1024, 512)),
    Network("lenet5", "lenet5", lenet5),
    Network("resnet8", "resnet8", lambda: resnet(8), 32, 3, rounds=5),
    Network("resnet20", "resnet20", lambda: resnet(20), 32, 3, rounds=5),
    Network("resnet56", "resnet56", lambda: resnet(56), 32, 3, rounds=3),
]


# ---- training ----------------------------------------------------------------------------------------------------------


class Trainer:
    """Trains mini-batches in one combination: mode is eager or compile, layout contiguous or channels_last."""

    def __init__(self, network, mode, layout):
        generator = torch.Generator().manual_seed(1)
        shape = (N_EXAMPLES, network.channels, network.size, network.size) if network.has_maps else (N_EXAMPLES, network.size**2)
        memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        # The bytes lie as the layout wants them, so that a batch of rows is gathered into it.
        self.data = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).contiguous(memory_format=memory)
        self.teacher = 3 * torch.randn(N_EXAMPLES, N_CLASSES, generator=generator)
        self.module = network.make().to(memory_format=memory)
        module = self.module

        def loss(batch, teacher):
            x = batch.float().mul_(1 / 128).sub_(1.0)
            return nn.functional.cross_entropy(module(x), torch.softmax(teacher / 4, dim=1))

        self.loss = torch.compile(loss, fullgraph=True, dynamic=False) if mode == "compile" else loss
        self.optimizer = None
        self.choose_sgd("plain")

    def choose_sgd(self, kind):
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, **SGD_KINDS[kind])

    def choose_fastest_sgd(self, seconds=0.1):
        """By its own step: what surrounds it does not depend on it."""
        times = {}
        for kind in SGD_KINDS:
            self.choose_sgd(kind)
            self.step()
            times[kind] = statistics.median(seconds_per_call(self.optimizer.step, seconds / 3) for _ in range(3))
        best = min(times, key=times.get)
        self.choose_sgd(best)
        return best

    def step(self):
        rows = torch.randint(0, N_EXAMPLES, (BATCH,))
        loss = self.loss(self.data[rows], self.teacher[rows])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def compiled(network, layout):
    """A compiled trainer, and the seconds that compiling took; None and why not if this machine cannot."""
    start = time.perf_counter()
    os.sched_setaffinity(0, ALL_CORES)  # compiling is not timed
    try:
        trainer = Trainer(network, "compile", layout)
        trainer.step()
    except Exception as problem:  # whatever it is, there is eager mode, and the table says so
        lines = [line for line in str(problem).splitlines() if line.strip()] or [""]
        return None, f"{type(problem).__name__}: {lines[0][:200]}"
    finally:
        os.sched_setaffinity(0, {CORE})
    return trainer, time.perf_counter() - start
