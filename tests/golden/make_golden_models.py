"""Make the golden files of the convolutional networks: their forward, gradients and trainings by PyTorch in double precision.

    python make_golden_models.py [case ...]        (by hand; needs torch; writes models_<case>.txt beside itself)

test_golden_models.c does the same with kdsweep's networks. The networks below are written from their definitions (LeCun et al. 1998 with
rectifiers and max pooling; He et al. 2015, section 4.2) with PyTorch's own layers, so that the two have nothing in common but these.

Inputs are not stored: both sides make them from a hash of (seed, stream, index), as numbers that single precision holds exactly. Nor are
whole gradients: of a block of parameters with more than SMALL entries (the weights of a layer, its biases, ...) the file holds a sketch,
N_SAMPLES entries and N_PROJECTIONS sums with random signs, which every entry enters.

Yardstick. How far single precision leaves double precision depends on the network: batch normalisation takes out the largest part of a
gradient, and a change is small beside the parameter that it is rounded into. So it is measured, by PyTorch in single precision, in five
ways that differ in nothing but the order of sums. Each block stands in its file with the largest of the five errors
(<array>_single); test_golden_models.c allows a small multiple of it.

That holds while no rectifier and no maximum of a pool decides otherwise than in double precision: one that does puts the gradient off by
1e-3 and a training in no time by as much as it changes. So the seed of a case is the first whose decisions are all clear (FIRST_MARGIN,
TRAINING_MARGIN). In one step of a residual network there are up to 400 000 decisions, in twenty steps too many for any seed. Therefore
the training starts from other offsets of the normalisations than the first step: OFFSET is added or taken away, channel by channel and in
every layer alike, so that most rectifiers are open or shut and few are near the edge. The first step has them in the middle.
"""

import platform
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

FOLDER = Path(__file__).parent
N_STEPS, N_BATCHES, LAST_IS_SHORTER_BY = 20, 4, 3
LR_FALL = 1 / 32  # lr of step k: lr * (1 - k * LR_FALL)
SMALL, N_SAMPLES, N_PROJECTIONS = 24, 16, 8
# no rectifier's input closer to 0, no largest of a pool closer to the second, relative to their root mean square
FIRST_MARGIN, TRAINING_MARGIN = 4e-6, 3e-6
OFFSET = 2.5
VALUES, IMAGES, TARGETS, SAMPLES, OFFSETS, SIGNS = range(6)  # streams; SIGNS + k for projection k

DEFAULTS = {
    "shortcut": "zero_pad", "size": 16, "channels": 3, "classes": 10, "batch": 8, "norm_momentum": 0.1, "norm_epsilon": 1e-5,
    "lr": 1 / 64, "momentum": 0.9, "nesterov": 0, "weight_decay": 1e-4, "decay_biases": 0,
}  # fmt: skip
CASES = {
    "resnet8": {"model": "resnet8"},
    "resnet8_projection": {"model": "resnet8", "shortcut": "projection", "nesterov": 1, "weight_decay": 0.01, "decay_biases": 1},
    "resnet8_grey": {"model": "resnet8", "size": 12, "channels": 1, "classes": 5, "batch": 16, "decay_biases": 1},
    # running statistics and the epsilon that nobody would guess
    "resnet8_projection_grey": {
        "model": "resnet8", "shortcut": "projection", "size": 12, "channels": 1, "norm_momentum": 0.25, "norm_epsilon": 0.015625,
        "weight_decay": 0.01},
    # maps of odd size; channels that leave columns of a panel empty, in one, two, three and five panels
    "resnet8x4": {"model": "resnet8x4", "size": 9, "channels": 1, "classes": 6},
    "resnet8x10_projection": {"model": "resnet8x10", "shortcut": "projection", "size": 13, "classes": 7, "batch": 16},
    "resnet14x20": {"model": "resnet14x20", "size": 11, "lr": 1 / 512, "weight_decay": 0.01, "decay_biases": 1, "nesterov": 1},
    "resnet20": {"model": "resnet20", "lr": 1 / 512, "weight_decay": 0.01},
    "lenet5": {"model": "lenet5", "size": 28, "channels": 1},
    "lenet5_colour": {"model": "lenet5", "size": 32, "classes": 5, "nesterov": 1, "weight_decay": 0.01, "decay_biases": 1},
    "lenet5_small": {"model": "lenet5", "size": 9, "channels": 1, "classes": 6, "momentum": 0.5},
    # windows of both pools that are not full
    "lenet5_odd": {"model": "lenet5", "size": 19, "classes": 7, "batch": 16, "weight_decay": 0.01},
}  # fmt: skip


# ---- numbers that C makes alike ----------------------------------------------------------------------------------------------


def hashed(seed, stream, index):
    """32 bits for each index. All arithmetic modulo 2^32."""
    mask = np.uint64(0xFFFFFFFF)
    key = np.uint64(((seed * 64 + stream) * 0x85EBCA77) & 0xFFFFFFFF)
    x = (np.asarray(index, dtype=np.uint64) * np.uint64(0x9E3779B1) + key) & mask
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & mask
    return x ^ (x >> np.uint64(16))


def uniform(seed, stream, index):
    """Multiples of 2^-11 in [-1, 1)."""
    return torch.from_numpy((hashed(seed, stream, index) >> np.uint64(20)).astype(np.float64) / 2048 - 1)


def signs(case, stream, index):
    return torch.from_numpy(1.0 - 2.0 * (hashed(case["seed"], stream, index) & np.uint64(1)).astype(np.float64))


def images(case, batch, n_rows):
    size, channels = case["size"], case["channels"]
    n_features = size * size * channels
    first = batch * case["batch"] * n_features
    x = 2 * uniform(case["seed"], IMAGES, np.arange(first, first + n_rows * n_features))
    return x.view(n_rows, size, size, channels).permute(0, 3, 1, 2).contiguous()  # channels are innermost in kdsweep


def targets(case, batch, n_rows):
    """64 parts of 1/64: half of them on one class, the others one by one."""
    p = torch.zeros(n_rows, case["classes"], dtype=torch.float64)
    for row in range(n_rows):
        drawn = hashed(case["seed"], TARGETS, (batch * case["batch"] + row) * 33 + np.arange(33)) % np.uint64(case["classes"])
        for part, label in enumerate(drawn):
            p[row, int(label)] += 1 / 2 if part == 0 else 1 / 64
    return p


def rows_of(case, batch):
    return case["batch"] - (LAST_IS_SHORTER_BY if batch == N_BATCHES - 1 else 0)


# ---- the networks ------------------------------------------------------------------------------------------------------------


class Watch:
    """The narrowest decision of rectifiers and pools, relative to the root mean square of what they read."""

    def __init__(self):
        self.margin = float("inf")

    def see(self, distances, x):
        if distances.numel():
            self.margin = min(self.margin, (distances.min() / x.square().mean().sqrt()).item())


WATCH = Watch()


def rectified(x):
    WATCH.see(x.detach().abs(), x.detach())
    return F.relu(x)


def max_pooled(x):
    n, c, h, w = x.shape
    windows = x.detach()[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).transpose(3, 4).reshape(n, c, -1, 4)
    top = windows.topk(2, dim=3).values
    WATCH.see((top[..., 0] - top[..., 1])[top[..., 0] > 0], x.detach())
    return F.max_pool2d(x, 2)


class LeNet5(nn.Module):
    def __init__(self, case):
        super().__init__()
        # the original's images have 32 pixels; smaller ones are padded, and very small ones a second time
        outer, inner = 2 if case["size"] < 32 else 0, 2 if case["size"] < 12 else 0
        self.conv1 = nn.Conv2d(case["channels"], 6, 5, padding=outer)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=inner)
        side = ((case["size"] + 2 * outer - 4) // 2 + 2 * inner - 4) // 2
        self.dense = nn.ModuleList([nn.Linear(side * side * 16, 120), nn.Linear(120, 84), nn.Linear(84, case["classes"])])

    def forward(self, x):
        x = max_pooled(rectified(self.conv1(x)))
        x = max_pooled(rectified(self.conv2(x)))
        x = x.permute(0, 2, 3, 1).flatten(1)
        return self.dense[2](rectified(self.dense[1](rectified(self.dense[0](x)))))

    def layers(self):
        """Weights and what follows them, in the order of kdsweep's stored values."""
        return [(layer, None) for layer in (self.conv1, self.conv2, *self.dense)]


def normalised(case, channels):
    return nn.BatchNorm2d(channels, momentum=case["norm_momentum"], eps=case["norm_epsilon"])


class Block(nn.Module):
    def __init__(self, case, n_in, n_out, stride):
        super().__init__()
        self.stride, self.n_added = stride, n_out - n_in
        self.conv1, self.norm1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False), normalised(case, n_out)
        self.conv2, self.norm2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), normalised(case, n_out)
        self.projects = stride != 1 and case["shortcut"] == "projection"
        if self.projects:
            self.conv0, self.norm0 = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), normalised(case, n_out)

    def forward(self, x):
        y = rectified(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.projects:
            shortcut = self.norm0(self.conv0(x))
        else:
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.n_added))
        return rectified(y + shortcut)

    def layers(self):
        projection = [(self.conv0, self.norm0)] if self.projects else []
        return [*projection, (self.conv1, self.norm1), (self.conv2, self.norm2)]


class ResNet(nn.Module):
    def __init__(self, case):
        super().__init__()
        depth, _, width = case["model"].removeprefix("resnet").partition("x")
        n_blocks, width = (int(depth) - 2) // 6, int(width or 16)
        self.conv, self.norm = nn.Conv2d(case["channels"], width, 3, padding=1, bias=False), normalised(case, width)
        blocks, n_in = [], width
        for stage in range(3):
            for k in range(n_blocks):
                blocks.append(Block(case, n_in, width << stage, 2 if stage > 0 and k == 0 else 1))
                n_in = width << stage
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Linear(n_in, case["classes"])

    def forward(self, x):
        x = self.blocks(rectified(self.norm(self.conv(x))))
        return self.dense(x.mean(dim=(2, 3)))

    def layers(self):
        return [(self.conv, self.norm), *(layer for block in self.blocks for layer in block.layers()), (self.dense, None)]


def stored(weight):
    """As kdsweep stores weights: [K][n_out], K = n_in, or [row of taps][tap][n_in]."""
    return weight.T if weight.dim() == 2 else weight.permute(2, 3, 1, 0)


def blocks_of(network):
    """(what, tensor in the order of kdsweep's stored values) of each block: parameters layer by layer, then running statistics."""
    blocks = []
    for layer, norm in network.layers():
        blocks.append(("weights", stored(layer.weight)))
        if norm is None:
            blocks.append(("biases", layer.bias))
        else:
            blocks += [("scale", norm.weight), ("offset", norm.bias)]
    for _, norm in network.layers():
        if norm is not None:
            blocks += [("mean", norm.running_mean), ("variance", norm.running_var)]
    return blocks


def fill(case, network, trains):
    at = 0
    last = network.layers()[-1][0].weight.shape
    with torch.no_grad():
        for what, block in blocks_of(network):
            n = block.numel()
            u = uniform(case["seed"], VALUES, np.arange(at, at + n)).view(block.shape)
            if what == "weights":
                bound = np.floor(np.sqrt(6 / (n // block.shape[-1])) * 256 + 0.5) / 256
                value = bound * u / (4 if block.dim() == 2 and block.T.shape == last else 1)  # logits that are no larger than usual
            else:
                value = {"biases": u / 8, "scale": 1 + u / 4, "offset": u / 4, "mean": u / 4, "variance": 1 + u / 2}[what]
            if what == "offset" and trains:
                value = value + OFFSET * signs(case, OFFSETS, np.arange(n))
            block.copy_(value)  # a view of the network's own
            at += n


# ---- one case ----------------------------------------------------------------------------------------------------------------


def now(network):
    return [block.detach().double().flatten().clone() for _, block in blocks_of(network)]


def run(case, dtype=torch.float64, permute=None, channels_last=False):
    """Everything that the file holds, in double precision whatever it was computed in: logits, losses, and lists of blocks."""
    network = (LeNet5 if case["model"] == "lenet5" else ResNet)(case).to(dtype)
    words = [what for what, _ in blocks_of(network)]
    result = {}
    if channels_last:
        network = network.to(memory_format=torch.channels_last)

    def order(n_rows):
        generator = torch.Generator().manual_seed(permute or 0)
        return torch.arange(n_rows) if permute is None else torch.randperm(n_rows, generator=generator)

    def logits_of(batch, trains):
        """In the order of the rows, although they may be computed in another."""
        n_rows = rows_of(case, batch)
        permutation = order(n_rows)
        x = images(case, batch, n_rows).to(dtype)[permutation]
        if channels_last:
            x = x.to(memory_format=torch.channels_last)
        network.train(trains)
        return network(x)[torch.argsort(permutation)]

    def gradient_step(batch):
        logits = logits_of(batch, trains=True)
        # with probabilities as targets
        loss = F.cross_entropy(logits, targets(case, batch, rows_of(case, batch)).to(dtype))
        network.zero_grad()
        loss.backward()
        return logits, loss

    def kept(tensor):
        return tensor.detach().double().flatten().clone()

    fill(case, network, trains=False)
    start = now(network)
    with torch.no_grad():
        result["logits_evaluated"] = kept(logits_of(0, trains=False))
    WATCH.margin = float("inf")
    result["logits_trained"] = kept(gradient_step(0)[0])
    result["first_margin"] = WATCH.margin
    result["gradient"] = gradient_blocks(network)
    changes = [a - b for what, a, b in zip(words, now(network), start) if what in ("mean", "variance")]
    if changes:
        result["statistics"] = changes

    fill(case, network, trains=True)
    start = now(network)
    parameters = list(network.parameters())
    weights = [p for p in parameters if p.dim() > 1]
    others = [p for p in parameters if p.dim() == 1]
    optimiser = torch.optim.SGD(
        [{"params": weights}, {"params": others, "weight_decay": case["weight_decay"] if case["decay_biases"] else 0.0}],
        lr=case["lr"], momentum=case["momentum"], nesterov=bool(case["nesterov"]), weight_decay=case["weight_decay"])  # fmt: skip
    losses = []
    WATCH.margin = float("inf")
    for step in range(N_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = case["lr"] * (1 - step * LR_FALL)
        losses.append(gradient_step(step % N_BATCHES)[1].item())
        optimiser.step()
    result["training_margin"] = WATCH.margin
    result["losses"] = torch.tensor(losses, dtype=torch.float64)
    result["change"] = [a - b for a, b in zip(now(network), start)]
    with torch.no_grad():
        result["final_logits"] = kept(logits_of(0, trains=False))
    return result


def gradient_blocks(network):
    blocks = []
    for layer, norm in network.layers():
        blocks.append(stored(layer.weight.grad))
        blocks += [layer.bias.grad] if norm is None else [norm.weight.grad, norm.bias.grad]
    return [block.detach().double().flatten().clone() for block in blocks]


def sketch(case, block):
    """The whole of a small block; else samples, then projections."""
    n = block.numel()
    if n <= SMALL:
        return block, None
    samples = block[torch.from_numpy((hashed(case["seed"], SAMPLES, np.arange(N_SAMPLES)) % np.uint64(n)).astype(np.int64))]
    return samples, torch.stack([(block * signs(case, SIGNS + k, np.arange(n))).sum() for k in range(N_PROJECTIONS)])


def sketch_error(case, got, wanted):
    """The norm of the difference relative to the norm of the block, as far as the sketch shows it: the larger of what its samples and its
    projections say. The mean square of a projection of the difference is the square of its norm."""
    (a, c), (b, d) = sketch(case, got), sketch(case, wanted)
    norm = wanted.norm().item()
    if c is None:
        return (a - b).norm().item() / norm
    from_samples = ((a - b).square().mean() * wanted.numel()).sqrt().item()
    return max(from_samples, (c - d).square().mean().sqrt().item()) / norm


def errors(case, got, wanted):
    """Of each array, relative to its norm; of a list of blocks, one for each."""
    result = {}
    for key, value in wanted.items():
        if isinstance(value, list):
            result[key] = torch.tensor([sketch_error(case, a, b) for a, b in zip(got[key], value)])
        elif not key.endswith("margin"):
            result[key] = (got[key] - value).norm() / value.norm()
    return result


def in_single(case):
    yield run(case, torch.float32)
    yield run(case, torch.float32, channels_last=True)
    for permute in (1, 2):
        yield run(case, torch.float32, permute=permute)
    with torch.backends.mkldnn.flags(enabled=False):
        yield run(case, torch.float32)


def write(path, case, result, yardstick):
    words = f"# Made by tests/golden/make_golden_models.py with PyTorch {torch.__version__}, Python {platform.python_version()}, float64.\n"
    words += "".join(f"{key} {value}\n" for key, value in case.items())

    def add(key, numbers, digits):
        nonlocal words
        words += f"{key} {len(numbers)}\n"
        texts = [f"{v:.{digits}g}" for v in numbers]
        words += "".join(" ".join(texts[i : i + 12]) + "\n" for i in range(0, len(texts), 12))

    for key, single in yardstick.items():
        blocks = result[key] if isinstance(result[key], list) else [result[key]]
        numbers = []
        for block in blocks:
            samples, projections = sketch(case, block) if isinstance(result[key], list) else (block, None)
            numbers += samples.tolist() + ([] if projections is None else projections.tolist())
        add(key, numbers, 8)
        add(f"{key}_norm", [block.norm().item() for block in blocks], 3)
        add(f"{key}_single", single.flatten().tolist(), 2)
    path.write_text(words, encoding="utf-8")


def main():
    torch.set_num_threads(1)
    sys.stdout.reconfigure(line_buffering=True)
    warnings.filterwarnings("ignore", message="TF32")
    for name in sys.argv[1:] or CASES:
        case = DEFAULTS | CASES[name]
        case = {"model": case.pop("model"), **case, "seed": 0}
        while case["seed"] == 0 or result["first_margin"] < FIRST_MARGIN or result["training_margin"] < TRAINING_MARGIN:
            case["seed"] += 1
            result = run(case)
        all_errors = [errors(case, single, result) for single in in_single(case)]
        yardstick = {key: torch.stack([e[key] for e in all_errors]).amax(dim=0) for key in all_errors[0]}
        write(FOLDER / f"models_{name}.txt", case, result, yardstick)
        margins = f"margins {result['first_margin']:.1e}, {result['training_margin']:.1e}"
        print(f"{name}: seed {case['seed']}, {margins}, losses {result['losses'][0]:.3f} to {result['losses'][-1]:.3f}")
        for key in yardstick:
            print(f"    {key:16}" + "".join(f" {e[key].max():.1e}" for e in all_errors))


if __name__ == "__main__":
    main()
