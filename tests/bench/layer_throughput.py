"""The products of single layers against oneDNN through PyTorch on one core: alternating rounds in one run, medians, GFLOP/s.

    python layer_throughput.py path/to/bench_layers [--rounds 5] [--seconds 0.1]

Every distinct convolution of ResNet-20 and -56 and every dense layer of the MLPs, batch 128: forward, gradient of the data, gradient of the
weights. Convolutions in both memory layouts, the better one counts. GFLOP/s of needed multiply-adds (no taps on padding) on both
sides; the first layer of a network has no gradient of the data.
"""

import argparse
import statistics

import torch
from torch_side import BATCH, CORE, ours, seconds_per_call, table, use_one_core, versions

PRODUCTS = ("forward", "data", "weights")
CONVOLUTIONS = [  # n_in, n_out, size, stride: 3x3, padding 1
    (3, 16, 32, 1),
    (16, 16, 32, 1),
    (16, 32, 32, 2),
    (32, 32, 16, 1),
    (32, 64, 16, 2),
    (64, 64, 8, 1),
]
DENSE = [(784, 64), (64, 10), (784, 256), (256, 128), (128, 10), (784, 1024), (1024, 512), (512, 10)]
FIRST = (3, 784)  # features of data


def convolution_calls(n_in, n_out, size, stride, layout):
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    x = torch.randn(BATCH, n_in, size, size).contiguous(memory_format=memory)
    w = torch.randn(n_out, n_in, 3, 3).contiguous(memory_format=memory)
    dy = torch.randn(BATCH, n_out, size // stride, size // stride).contiguous(memory_format=memory)

    def backward(mask):
        arguments = (dy, x, w, None, [stride, stride], [1, 1], [1, 1], False, [0, 0], 1, mask)
        return lambda: torch.ops.aten.convolution_backward(*arguments)

    return {"forward": lambda: torch.nn.functional.conv2d(x, w, stride=stride, padding=1),
            "data": backward([True, False, False]), "weights": backward([False, True, False])}


def dense_calls(n_in, n_out):
    x, w, dy = torch.randn(BATCH, n_in), torch.randn(n_out, n_in), torch.randn(BATCH, n_out)
    return {"forward": lambda: torch.nn.functional.linear(x, w), "data": lambda: dy @ w, "weights": lambda: dy.t() @ x}


def convolution_gflop(n_in, n_out, size, stride):
    taps = sum(0 <= first + k < size for first in range(-1, size - 1, stride) for k in range(3))
    return 2e-9 * BATCH * taps**2 * n_in * n_out


def measure(name, arguments, sides, gflop, program, options, row):
    products = [product for product in PRODUCTS if product != "data" or arguments[0] not in FIRST]
    mine = []
    theirs = {(layout, product): [] for layout in sides for product in products}
    for _ in range(options.rounds):
        mine.append(ours(program, *arguments, options.seconds, BATCH))
        for layout, product in theirs:
            theirs[layout, product].append(gflop / seconds_per_call(sides[layout][product], options.seconds))
    peak = max(result["peak"] for result in mine)
    cells = []
    for product in PRODUCTS:
        if product not in products:
            cells += ["", "", "", ""]
            continue
        a = statistics.median(result[product] for result in mine)
        layout = max(sides, key=lambda side: statistics.median(theirs[side, product]))
        b = statistics.median(theirs[layout, product])
        cells += [f"{a:.1f}", f"{100 * a / peak:.0f} %" if peak > 0 else "", f"{b:.1f}" + (" cl" if layout == "channels_last" else ""),
                  f"{a / b:.2f}"]
    row(name, *cells)
    return peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1)
    options = parser.parse_args()
    use_one_core()
    print(f"products of single layers, core {CORE} alone, batch {BATCH}, GFLOP/s of needed multiply-adds; {versions()}")
    print(f"median of {options.rounds} alternating rounds of {options.seconds:g} s; cl: PyTorch's better layout was channels last\n")
    row = table("layer", *(f"{product}{what}" for product in ("forward", "d data", "d weights") for what in ("", " of peak", " PyTorch", " ratio")))
    peak = 0.0
    with torch.no_grad():
        for n_in, n_out, size, stride in CONVOLUTIONS:
            name = f"{n_in} to {n_out}, 3x3 on {size} x {size}" + (f", stride {stride}" if stride > 1 else "")
            sides = {layout: convolution_calls(n_in, n_out, size, stride, layout) for layout in ("contiguous", "channels_last")}
            gflop = convolution_gflop(n_in, n_out, size, stride)
            peak = max(peak, measure(name, (n_in, n_out, size, 3, stride, 1), sides, gflop, options.program, options, row))
        for n_in, n_out in DENSE:
            sides = {"contiguous": dense_calls(n_in, n_out)}
            gflop = 2e-9 * BATCH * n_in * n_out
            peak = max(peak, measure(f"{n_in} to {n_out}", (n_in, n_out, 0, 1, 1, 0), sides, gflop, options.program, options, row))
    print(f"\nFMA peak of the core: {peak:.1f} GFLOP/s, the best of all rounds")


if __name__ == "__main__":
    main()
