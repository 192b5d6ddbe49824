"""Peak resident memory of one process that trains at batch 128, against PyTorch's.

    python train_memory.py path/to/bench_train [--model resnet56]

Each combination of torch_side.py in a process of its own: the footprint after `import torch`, the peak while training, and the difference.
Compiling happens before the peak is reset. Ours is the whole process; both hold the same data set of bytes.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

STEPS = 3


def peak_mib():
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def child(model, mode, layout):
    import torch
    from torch_side import NETWORKS, Trainer, use_one_core

    torch.zeros(1).add_(1)
    imported = peak_mib()
    use_one_core()
    network = next(n for n in NETWORKS if n.name == model)
    trainer = Trainer(network, mode, layout)
    trainer.choose_sgd("fused")
    trainer.step()
    was_reset = False
    try:
        Path("/proc/self/clear_refs").write_text("5")
        was_reset = True
    except OSError:
        pass
    for _ in range(STEPS):
        trainer.step()
    print(json.dumps({"imported": imported, "peak": peak_mib(), "reset": was_reset}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--model", default="resnet56")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.model, *options.child)
        return
    from torch_side import BATCH, NETWORKS, ours, table, use_one_core, versions

    use_one_core()
    network = next(n for n in NETWORKS if n.name == options.model)
    print(f"peak resident memory of one training process, {network.name}, batch {BATCH}, MiB; {versions()}\n")
    mine = ours(options.program, network.model, 0.1, BATCH)
    row = table(network.name, "after import", "peak", "peak without the import", "times ours")
    row(f"kdsweep (arena {mine['arena_mib']:.0f})", "", f"{mine['resident_mib']:.0f}", f"{mine['resident_mib']:.0f}", "1")
    for layout in network.layouts():
        for mode in ("eager", "compile"):
            run = subprocess.run([sys.executable, __file__, options.program, "--model", options.model, "--child", mode, layout],
                                 capture_output=True, text=True)
            name = f"PyTorch {'compiled' if mode == 'compile' else mode}, {layout.replace('_', ' ')}"
            if run.returncode != 0:
                row(name, "failed: " + (run.stderr.strip().splitlines() or ["?"])[-1][:120], "", "", "")
                continue
            theirs = json.loads(run.stdout.splitlines()[-1])
            net = theirs["peak"] - theirs["imported"]
            row(name + ("" if theirs["reset"] else " (with its first step)"), f"{theirs['imported']:.0f}", f"{theirs['peak']:.0f}",
                f"{net:.0f}", f"{net / mine['resident_mib']:.2f}")


if __name__ == "__main__":
    main()
