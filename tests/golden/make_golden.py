"""Make the golden files: trainings of a small network by PyTorch in double precision.

    python make_golden.py          (by hand; needs torch; writes golden_inputs.txt and golden_<case>.txt beside itself)

test_golden.c runs kdsweep's own network, loss and optimiser on the same numbers. So that the two have nothing in common but
the formulas, everything here is PyTorch's own: nn.Linear, F.cross_entropy, F.kl_div, optim.SGD, autograd. Numbers of the inputs are
multiples of 2^-10: exact in single precision, short in text.

Each case: an MLP 20-16-12-5, ten steps of SGD on ten batches of eight, and for robust and tradeoff a multiplier update before every
second step from a fixed validation set of forty. Formulas: methods 0.4, 0.5, 2.1-2.4.
"""

import platform
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

FOLDER = Path(__file__).parent
WIDTHS = (20, 16, 12, 5)
M = WIDTHS[-1]
N_STEPS, BATCH, N_VALIDATION, UPDATE_EVERY = 10, 8, 40, 2
LR, LR_STEP = 0.1, -0.004  # lr of step k: LR + k * LR_STEP

torch.set_default_dtype(torch.float64)

DEFAULTS = {
    "objective": "standard", "tradeoff": 0.0, "teacher": 0, "mixing": 1.0, "temperature": 1.0, "tempered": "teacher", "t_squared": 0,
    "validation_labels": "one_hot", "validation_temperature": 0.0, "risk": "zero_one", "robust_step": 0.5,
    "momentum": 0.0, "nesterov": 0, "weight_decay": 0.0, "decay_biases": 0,
}  # fmt: skip

SGD = {"momentum": 0.9, "nesterov": 1, "weight_decay": 0.01}
T_SQUARED = {"teacher": 1, "temperature": 4.0, "tempered": "both", "t_squared": 1}
CASES = {
    "standard_plain": {},
    "standard_momentum": {"momentum": 0.9, "weight_decay": 0.01, "decay_biases": 1},
    "standard_nesterov": SGD,
    "balanced_one_hot": {"objective": "balanced", **SGD},
    "robust_one_hot": {"objective": "robust", **SGD},
    "robust_cross_entropy": {"objective": "robust", "risk": "cross_entropy", **SGD, "decay_biases": 1},
    "tradeoff_one_hot": {"objective": "tradeoff", "tradeoff": 0.25, **SGD},
    "standard_teacher": {"teacher": 1, "temperature": 3.0, **SGD},
    "standard_both": {**T_SQUARED, "t_squared": 0, **SGD},
    "standard_both_squared": {**T_SQUARED, **SGD},
    "standard_mixed": {**T_SQUARED, "mixing": 0.5, **SGD},
    "balanced_teacher": {"objective": "balanced", "teacher": 1, "temperature": 3.0, **SGD},
    "balanced_mixed": {"objective": "balanced", "mixing": 0.5, **T_SQUARED, **SGD, "decay_biases": 1},
    "robust_teacher": {
        "objective": "robust", "teacher": 1, "temperature": 3.0, "validation_labels": "teacher", "validation_temperature": 0.5, **SGD},
    "robust_teacher_one_hot": {"objective": "robust", "teacher": 1, "temperature": 5.0, **SGD},
    "robust_mixed": {"objective": "robust", "mixing": 0.5, **T_SQUARED, "validation_labels": "teacher", "risk": "cross_entropy", **SGD},
    "tradeoff_teacher": {
        "objective": "tradeoff", "tradeoff": 0.75, "teacher": 1, "temperature": 2.0, "validation_labels": "teacher", **SGD},
    "tradeoff_mixed": {"objective": "tradeoff", "tradeoff": 0.5, "teacher": 1, "mixing": 0.5, "temperature": 2.0, **SGD},
}  # fmt: skip


def short(x):
    """To the nearest multiple of 2^-10."""
    return torch.round(x * 1024) / 1024


def make_inputs():
    torch.manual_seed(20240611)
    centre = 1.2 * torch.randn(M, WIDTHS[0])
    prior = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05])

    def examples(n):
        label = torch.multinomial(prior, n, replacement=True)
        label[:M] = torch.arange(M)  # every class is there
        x = short(0.5 * centre[label] + torch.randn(n, WIDTHS[0]))
        teacher = short(2.5 * F.one_hot(label, M) + 1.5 * torch.randn(n, M))
        return x, label, teacher

    inputs = dict(zip(("x", "label", "teacher"), examples(N_STEPS * BATCH)))
    inputs |= dict(zip(("validation_x", "validation_label", "validation_teacher"), examples(N_VALIDATION)))
    parameters = []
    for n_in, n_out in zip(WIDTHS, WIDTHS[1:]):
        parameters += [short(torch.randn(n_in, n_out) * (2 / n_in) ** 0.5).flatten(), short(0.1 * torch.randn(n_out))]
    inputs["parameters"] = torch.cat(parameters)
    return inputs


def make_network(flat):
    """Layer after layer W [n_in][n_out], then b; nn.Linear keeps the transpose of W."""
    layers, at = [], 0
    for n_in, n_out in zip(WIDTHS, WIDTHS[1:]):
        linear = nn.Linear(n_in, n_out)
        with torch.no_grad():
            linear.weight.copy_(flat[at : at + n_in * n_out].view(n_in, n_out).T)
            linear.bias.copy_(flat[at + n_in * n_out : at + n_in * n_out + n_out])
        at += n_in * n_out + n_out
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def flatten(network):
    pieces = []
    for layer in network:
        if isinstance(layer, nn.Linear):
            pieces += [layer.weight.detach().T.flatten(), layer.bias.detach()]
    return torch.cat(pieces)


def log_costs(case, marginal, lam):
    """log c_y; 0 for standard."""
    if case["objective"] == "standard":
        return torch.zeros(M)
    beta = {
        "balanced": torch.ones(M),
        "robust": lam,
        "tradeoff": (1 - case["tradeoff"]) / M + case["tradeoff"] * lam,
    }[case["objective"]]
    return torch.log(beta / marginal)


def loss_of(case, inputs, logits, rows, lam):
    prior = torch.bincount(inputs["label"], minlength=M) / len(inputs["label"])
    loss = torch.zeros(())
    mixing = case["mixing"] if case["teacher"] else 0.0
    if mixing < 1:
        loss = loss + (1 - mixing) * F.cross_entropy(logits - log_costs(case, prior, lam), inputs["label"][rows])
    if mixing > 0:
        labels = F.softmax(inputs["teacher"] / case["temperature"], dim=1)
        marginal, p = labels.mean(dim=0), labels[rows]
        both = case["tempered"] == "both"
        shifted = logits / (case["temperature"] if both else 1.0) - log_costs(case, marginal, lam)
        # Kullback-Leibler and the entropy of the labels, which has no gradient: the cross-entropy
        divergence = F.kl_div(F.log_softmax(shifted, dim=1), p, reduction="batchmean")
        entropy = torch.distributions.Categorical(probs=p).entropy().mean()
        factor = case["temperature"] ** 2 if both and case["t_squared"] else 1.0
        loss = loss + mixing * factor * (divergence + entropy)
    return loss


def update_multipliers(case, inputs, network, lam):
    with torch.no_grad():
        logits = network(inputs["validation_x"])
        if case["validation_labels"] == "teacher":
            p = F.softmax(inputs["validation_teacher"] / (case["validation_temperature"] or case["temperature"]), dim=1)
        else:
            p = F.one_hot(inputs["validation_label"], M).to(logits.dtype)
        if case["risk"] == "zero_one":
            top = logits.topk(2, dim=1).values
            assert (top[:, 0] - top[:, 1]).min() > 1e-4, "a decision that single precision could take otherwise"
            risk = 1.0 - F.one_hot(logits.argmax(dim=1), M)
        else:
            risk = -F.log_softmax(logits, dim=1)
        risk_of_class = (p * risk).sum(dim=0) / p.sum(dim=0)
        exponent = case["robust_step"] * (case["tradeoff"] if case["objective"] == "tradeoff" else 1.0)
        lam = lam * torch.exp(exponent * risk_of_class)
        return lam / lam.sum()


def run(case, inputs):
    network = make_network(inputs["parameters"])
    weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    groups = [
        {"params": weights, "weight_decay": case["weight_decay"]},
        {"params": biases, "weight_decay": case["weight_decay"] if case["decay_biases"] else 0.0},
    ]
    optimiser = torch.optim.SGD(groups, lr=LR, momentum=case["momentum"], nesterov=bool(case["nesterov"]))
    lam = torch.full((M,), 1 / M)
    losses, multipliers = [], []
    for step in range(N_STEPS):
        if case["objective"] in ("robust", "tradeoff") and step % UPDATE_EVERY == 0:
            lam = update_multipliers(case, inputs, network, lam)
        for group in optimiser.param_groups:
            group["lr"] = LR + step * LR_STEP
        rows = slice(step * BATCH, (step + 1) * BATCH)
        optimiser.zero_grad()
        loss = loss_of(case, inputs, network(inputs["x"][rows]), rows, lam)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        multipliers.append(lam)
    return {"losses": torch.tensor(losses), "multipliers": torch.stack(multipliers), "parameters": flatten(network)}


def write(path, lead, arrays, digits):
    words = f"# Made by tests/golden/make_golden.py with PyTorch {torch.__version__}, Python {platform.python_version()}, float64.\n"
    for key, value in lead.items():
        words += f"{key} {value}\n"
    for key, value in arrays.items():
        flat = value.flatten().tolist()
        words += f"{key} {len(flat)}\n"
        texts = [f"{v:.{digits}g}" for v in flat]
        words += "".join(" ".join(texts[i : i + 10]) + "\n" for i in range(0, len(texts), 10))
    path.write_text(words, encoding="utf-8")


def main():
    inputs = make_inputs()
    write(FOLDER / "golden_inputs.txt", {}, inputs, 17)
    for name, changed in CASES.items():
        case = DEFAULTS | {"teacher": int("mixing" in changed)} | changed
        write(FOLDER / f"golden_{name}.txt", case, run(case, inputs), 10)


if __name__ == "__main__":
    main()
