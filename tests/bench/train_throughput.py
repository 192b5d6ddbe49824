"""Training throughput against PyTorch on one core: alternating rounds in one run, medians, ratios.

    python train_throughput.py path/to/bench_train [--models resnet20,lenet5] [--rounds N] [--seconds S] [--no-compile]

Both sides do the same work for a mini-batch of 128: pick random rows of a byte data set, standardise, forward, cross-entropy against a
teacher's labels at T = 4, backward, SGD with momentum 0.9 and weight decay 1e-4; both are pinned to the same core. PyTorch is measured in
every combination of torch_side.py, and the best one counts. The peak is that of fused multiply-adds on registers, measured in
every round. Nothing here passes or fails: it prints ratios.
"""

import argparse
import statistics
import sys

import torch
from torch_side import BATCH, CORE, NETWORKS, Trainer, compiled, ours, seconds_per_call, table, use_one_core, versions

HOPELESS = 1.5  # a combination this much slower than the best one in the first round is not measured again


def trainers_of(network, compiles, notes):
    torch._dynamo.reset()
    trainers = {}
    for layout in network.layouts():
        trainers["eager", layout] = Trainer(network, "eager", layout)
        if compiles:
            trainer, outcome = compiled(network, layout)
            if trainer is None:
                notes.append(f"{network.name}: torch.compile failed ({layout}): {outcome}")
            else:
                trainers["compile", layout] = trainer
                print(f"{network.name}: compiled ({layout}) in {outcome:.0f} s", file=sys.stderr, flush=True)
    return trainers


def label_of(combination):
    mode, layout = combination
    return f"{'compiled' if mode == 'compile' else mode}, {layout.replace('_', ' ')}"


def measure(network, program, options, row, notes):
    rounds, seconds = options.rounds or network.rounds, options.seconds or network.seconds
    trainers = trainers_of(network, not options.no_compile, notes)
    sgd = {combination: trainer.choose_fastest_sgd() for combination, trainer in trainers.items()}
    mine, theirs, peak = [], {combination: [] for combination in trainers}, 0.0
    for i in range(rounds):
        mine.append(ours(program, network.model, seconds, BATCH))
        for combination, trainer in trainers.items():
            if i == 0 or theirs[combination][0] * HOPELESS > max(rates[0] for rates in theirs.values()):
                theirs[combination].append(BATCH / seconds_per_call(trainer.step, seconds))
        peak = max(peak, mine[-1]["peak"])
    n_parameters = sum(p.numel() for p in next(iter(trainers.values())).module.parameters())
    if n_parameters != mine[0]["parameters"]:
        notes.append(f"{network.name}: NOT THE SAME NETWORK: {mine[0]['parameters']:.0f} parameters against {n_parameters}")
    medians = {combination: statistics.median(rates) for combination, rates in theirs.items()}
    complete = [combination for combination in medians if len(theirs[combination]) == rounds]
    best = max(complete, key=medians.get)
    images, gflops = (statistics.median(result[name] for result in mine) for name in ("images", "gflops"))
    ratios = [result["images"] / rate for result, rate in zip(mine, theirs[best])]
    row(network.name, f"{images:,.0f}", f"{gflops:.1f}", f"{100 * gflops / peak:.0f} % of {peak:.0f}" if peak > 0 else "unknown",
        f"{medians[best]:,.0f}", f"{label_of(best)}, {sgd[best]} SGD", f"{images / medians[best]:.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}")
    others = "; ".join(f"{label_of(combination)} {medians[combination]:,.0f}" for combination in sorted(medians, key=medians.get, reverse=True))
    notes.append(f"{network.name}: PyTorch images/s: {others}")
    return mine[0]["isa"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--models", default="", help="comma-separated; all unless given")
    parser.add_argument("--rounds", type=int, default=0, help="alternations; 0: 7 to 3, as long as a step takes")
    parser.add_argument("--seconds", type=float, default=0, help="of each measurement; 0: 1, and at least two steps")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args()
    use_one_core()
    wanted = [word for word in options.models.split(",") if word]
    networks = [network for network in NETWORKS if not wanted or network.name in wanted]
    print(f"training throughput, core {CORE} alone, batch {BATCH}, distillation loss, momentum SGD; {versions()}")
    print("median of alternating rounds: " + ", ".join(f"{options.rounds or n.rounds} for {n.name}" for n in networks) + "\n")
    row = table("model", "kdsweep images/s", "GFLOP/s", "of the peak", "PyTorch images/s", "PyTorch as", "ratio", "rounds")
    notes = []
    isa = "?"
    for network in networks:
        isa = measure(network, options.program, options, row, notes)
    print(f"\nkernels: {isa}. GFLOP/s: needed multiply-adds only, twice. All of PyTorch's combinations:")
    for note in notes:
        print(f"- {note}")


if __name__ == "__main__":
    main()
