"""Make the golden files: trainings of a small network by PyTorch in double precision.

    python make_golden.py          (by hand; needs torch; writes golden_inputs.txt and golden_<case>.txt beside itself)

test_golden.c runs kdsweep's own network, loss and optimiser on the same numbers. So that the two have nothing in common but
the formulas, everything here is PyTorch's own: nn.Linear, F.cross_entropy, F.kl_div, optim.SGD, autograd. Numbers of the inputs are
multiples of 2^-10: exact in single precision, short in text.

Each case: an MLP 20-16-12-5, ten steps of SGD on ten batches of eight, and for robust, tradeoff and group_dro a multiplier update before
every second step from a fixed validation set of forty. Two steps are called an epoch, as far as an objective asks for it: step k is at
epoch k / 2. Formulas: methods 0.4, 0.5, 2.1-2.4; those of the other objectives are the papers' (methods 1.3 and 4), written as there.

A case proves something only if single precision cannot decide otherwise than double, and if each of its keys matters. Both are asserted.
"""

import math
import platform
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

FOLDER = Path(__file__).parent
WIDTHS = (20, 16, 12, 5)
M = WIDTHS[-1]
N_GROUPS = 3
N_STEPS, BATCH, N_VALIDATION, UPDATE_EVERY, STEPS_PER_EPOCH = 10, 8, 40, 2, 2
LR, LR_STEP = 0.1, -0.004  # lr of step k: LR + k * LR_STEP
DECISION, RECTIFIER = 1e-4, 3e-6  # no two scores or losses that are compared are closer; no rectifier's input is closer to 0
EFFECT = 1e-3  # a key that a case gives moves the parameters by at least this share of what the training changes in them

torch.set_default_dtype(torch.float64)

DEFAULTS = {
    "objective": "standard", "tradeoff": 0.0, "teacher": 0, "mixing": 1.0, "temperature": 1.0, "tempered": "teacher", "t_squared": 0,
    "validation_labels": "one_hot", "validation_temperature": 0.0, "risk": "zero_one", "robust_step": 0.5,
    "momentum": 0.0, "nesterov": 0, "weight_decay": 0.0, "decay_biases": 0,
}  # fmt: skip
# Not in the files of cases that have none of them.
MORE_DEFAULTS = {
    "one_hot_weight": -1.0, "tau": 1.0, "beta": 0.9999, "reweight_from": 0.0, "smoothing": 0.1, "focal_gamma": 2.0,
    "ldam_margin": 0.5, "ldam_scale": 1.0, "dro_groups": "class", "dro_learns": "validation", "dro_adjustment": 0.0, "cvar_fraction": 0.5,
    "ada_from": "validation", "ada_per": "class", "ada_temperature": 0.0, "ada_scale": 1.0, "ada_minimum": 0.0, "ada_maximum": 1.0,
    "dkd_alpha": 1.0, "dkd_beta": 8.0, "dkd_warmup": 20.0, "dist_inter": 1.0, "dist_intra": 1.0,
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

SOFT = {"teacher": 1, "temperature": 3.0}
MIXED = {**T_SQUARED, "mixing": 0.5}
WEIGHTED = {**T_SQUARED, "mixing": 0.75, "one_hot_weight": 0.5}
HALF_WAY = 2.5  # the epoch of the sixth step
CLIPPED = {"ada_minimum": 0.25, "ada_maximum": 0.375}  # one class below, two above
OLD = ("standard", "balanced", "robust", "tradeoff")
# alpha is clipped to [0, 1] as well, and takes the place of mixing
NOT_TO_MATTER = {("ada_alpha_example", "ada_minimum"), ("ada_alpha_example", "ada_maximum"), ("ada_alpha_unmixed", "mixing")}


def cases_of(objective, **cases):
    return {f"{objective}_{name}": {"objective": objective, **keys, **SGD} for name, keys in cases.items()}


CASES |= {
    "standard_weighted": {**WEIGHTED, **SGD},
    **cases_of("logit_adjusted", one_hot={"tau": 1.5}, teacher={**SOFT, "tau": 0.5}, mixed={**MIXED, "tau": 0.75}),
    **cases_of(
        "class_balanced",
        one_hot={"beta": 0.9},
        deferred={"reweight_from": HALF_WAY},
        teacher={**SOFT, "beta": 0.9},
        weighted={**WEIGHTED, "beta": 0.99, "reweight_from": HALF_WAY},
    ),
    **cases_of(
        "label_smoothing",
        one_hot={"smoothing": 0.2},
        teacher={**SOFT, "mixing": 0.5, "smoothing": 0.3},
        weighted={**WEIGHTED, "smoothing": 0.2},
    ),
    **cases_of(
        "focal",
        one_hot={"focal_gamma": 1.0},
        teacher={**SOFT, "focal_gamma": 1.5},
        mixed={**MIXED, "focal_gamma": 0.5},
        weighted={**WEIGHTED, "focal_gamma": 3.0},
    ),
    **cases_of(
        "ldam",
        one_hot={"ldam_margin": 0.75, "beta": 0.9},
        deferred={"ldam_scale": 3.0, "reweight_from": HALF_WAY},
        teacher={**SOFT, "ldam_scale": 2.0, "beta": 0.9},
        weighted={**WEIGHTED, "ldam_margin": 0.25, "ldam_scale": 1.5, "beta": 0.99, "reweight_from": HALF_WAY},
    ),
    **cases_of(
        "group_dro",
        class_validation={"robust_step": 0.25},
        class_train={"dro_learns": "train", "dro_adjustment": 2.0, "robust_step": 0.25},
        group_validation={"dro_groups": "group", "risk": "cross_entropy", "dro_adjustment": 2.0},
        group_train={"dro_groups": "group", "dro_learns": "train"},
        teacher={**SOFT, "dro_groups": "group", "dro_learns": "train", "dro_adjustment": 1.0},
        mixed={**MIXED, "risk": "cross_entropy", "robust_step": 0.25},
        weighted={**WEIGHTED, "dro_groups": "group"},
    ),
    **cases_of(
        "cvar",
        one_hot={"cvar_fraction": 0.3},
        teacher={**SOFT, "cvar_fraction": 0.55},
        mixed={**MIXED, "cvar_fraction": 0.01},
        weighted={**WEIGHTED, "cvar_fraction": 0.8},
    ),
    **cases_of(
        "ada_alpha",
        validation={**SOFT, "ada_temperature": 1.0},
        train={**T_SQUARED, "ada_from": "train", "ada_temperature": 2.0, "ada_scale": 1.25, **CLIPPED},
        example={**SOFT, "ada_per": "example", "ada_scale": 2.0, "ada_minimum": -1.0, "ada_maximum": 2.0},
        example_both={**T_SQUARED, "ada_per": "example", "ada_temperature": 1.0, "ada_minimum": 0.125, "ada_maximum": 0.75},
        unmixed={**SOFT, "mixing": 0.0, "ada_scale": 0.75},
    ),
    **cases_of(
        "ada_margin",
        validation={**SOFT, "ada_temperature": 1.0, "ada_maximum": 2.0, "ada_scale": 2.0},
        train={**MIXED, "ada_from": "train", "ada_temperature": 2.0, "ada_scale": 1.25, **CLIPPED},
        example={**SOFT, "ada_per": "example", "ada_scale": 2.0, "ada_minimum": -0.125, "ada_maximum": 0.5},
        example_weighted={**WEIGHTED, "ada_per": "example", "ada_temperature": 0.5},
    ),
    **cases_of(
        "balanced_kd",
        teacher={**SOFT, "beta": 0.9},
        authors={**T_SQUARED, "temperature": 2.0, "one_hot_weight": 1.0},
        mixed={**MIXED, "beta": 0.99, "reweight_from": HALF_WAY},
    ),
    **cases_of(
        "dkd",
        authors={"teacher": 1, "temperature": 4.0, "one_hot_weight": 1.0},
        teacher={**SOFT, "dkd_alpha": 3.0, "dkd_beta": 2.0, "dkd_warmup": 0.0},
        mixed={"teacher": 1, "temperature": 2.0, "mixing": 0.5, "dkd_beta": 4.0, "dkd_warmup": 3.0},
    ),
    **cases_of(
        "dist",
        authors={"teacher": 1, "one_hot_weight": 1.0},
        teacher={**SOFT, "temperature": 2.0, "dist_inter": 0.25, "dist_intra": 0.5},
        mixed={"teacher": 1, "temperature": 4.0, "mixing": 0.25, "dist_inter": 0.5, "dist_intra": 0.25},
    ),
    **cases_of(
        "logit_standardized",
        authors={"teacher": 1, "temperature": 2.0, "mixing": 9.0, "one_hot_weight": 0.1},
        teacher={"teacher": 1, "temperature": 3.0},
        mixed={"teacher": 1, "temperature": 4.0, "mixing": 0.5},
    ),
    **cases_of(
        "wttm",
        teacher=SOFT,
        mixed={"teacher": 1, "temperature": 2.0, "mixing": 0.5},
        weighted={"teacher": 1, "temperature": 4.0, "mixing": 1.5, "one_hot_weight": 0.25},
    ),
}


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
    return inputs | make_groups()


def make_groups():
    generator = torch.Generator().manual_seed(20240612)  # its own: the numbers before it stay
    share = torch.tensor([0.6, 0.3, 0.1])

    def groups(n):
        group = torch.multinomial(share, n, replacement=True, generator=generator)
        group[:N_GROUPS] = torch.arange(N_GROUPS)  # every group is there
        return group

    return {"group": groups(N_STEPS * BATCH), "validation_group": groups(N_VALIDATION)}


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


def weights_of(case):
    """Of the teacher's labels and of the one-hot labels, T^2 not counted."""
    if not case["teacher"]:
        return 0.0, 1.0
    given = case["one_hot_weight"]
    return case["mixing"], given if given >= 0 else max(0.0, 1 - case["mixing"])


def t_squared_of(case):
    return case["temperature"] ** 2 if case["tempered"] == "both" and case["t_squared"] else 1.0


def student_logits(case, f):
    """Of the teacher term."""
    return f / (case["temperature"] if case["tempered"] == "both" else 1.0)


def costs_loss(case, inputs, f, b):
    """standard, balanced, robust and tradeoff (methods 0.4, 2.3): cross-entropy on f - log c."""
    prior = torch.bincount(inputs["label"], minlength=M) / len(inputs["label"])
    loss = torch.zeros(())
    mixing, one_hot_weight = weights_of(case)
    if one_hot_weight > 0:
        loss = loss + one_hot_weight * F.cross_entropy(f - log_costs(case, prior, b.lam), b.label)
    if mixing > 0:
        labels = F.softmax(inputs["teacher"] / case["temperature"], dim=1)
        marginal, p = labels.mean(dim=0), labels[b.rows]
        shifted = student_logits(case, f) - log_costs(case, marginal, b.lam)
        # Kullback-Leibler and the entropy of the labels, which has no gradient: the cross-entropy
        divergence = F.kl_div(F.log_softmax(shifted, dim=1), p, reduction="batchmean")
        entropy = torch.distributions.Categorical(probs=p).entropy().mean()
        loss = loss + mixing * t_squared_of(case) * (divergence + entropy)
    return loss


# ---- the other objectives: what an example loses against its label, and against the teacher's ------------------------------


def class_counts(case, inputs, of_teacher):
    """n_y of the labels that a term has: of soft ones their sum."""
    if of_teacher:
        return F.softmax(inputs["teacher"] / case["temperature"], dim=1).sum(dim=0)
    return torch.bincount(inputs["label"], minlength=M).to(torch.get_default_dtype())


def effective_number_weights(case, n, b):
    """Cui et al. 2019: 1 / E_n, E_n = (1 - beta^n) / (1 - beta), with sum m. Deferred: Cao et al. 2019."""
    if b.epoch < case["reweight_from"]:
        return torch.ones(M)
    effective_number = (1 - case["beta"] ** n) / (1 - case["beta"])
    weight = 1 / effective_number
    return weight / weight.sum() * M


def expected(hard, p):
    """sum_y p_y l(y, f) for a loss l that takes one class for all examples (methods 2.2)."""
    return sum(p[:, y] * hard(torch.full((len(p),), y)) for y in range(M))


def logit_adjusted(case, inputs, f, p, b):
    """Menon et al. 2021: f + tau log pi."""
    n = class_counts(case, inputs, p is not None)
    return F.cross_entropy(f + case["tau"] * torch.log(n / n.sum()), b.label if p is None else p, reduction="none")


def class_balanced(case, inputs, f, p, b):
    w = effective_number_weights(case, class_counts(case, inputs, p is not None), b)
    return F.cross_entropy(f, b.label if p is None else p, weight=w, reduction="none")


def label_smoothing(case, inputs, f, p, b):
    if p is None:
        return F.cross_entropy(f, b.label, label_smoothing=case["smoothing"], reduction="none")
    return plain(case, inputs, f, p, b)


def focal(case, inputs, f, p, b):
    """Lin et al. 2017: FL = - (1 - p_t)^gamma log p_t."""

    def hard(y):
        log_pt = -F.cross_entropy(f, y, reduction="none")
        return -((1 - log_pt.exp()) ** case["focal_gamma"]) * log_pt

    return hard(b.label) if p is None else expected(hard, p)


def ldam(case, inputs, f, p, b):
    """Cao et al. 2019: Delta_y = C / n_y^(1/4), the largest is ldam_margin; weighted CE(s (f - Delta_y onehot_y) / T), in their code
    F.cross_entropy(..., weight=weight): PyTorch divides by the sum of the labels' weights. Of soft labels the same sum. No row losses: the mean."""
    n = class_counts(case, inputs, p is not None)
    delta = 1 / torch.sqrt(torch.sqrt(n))
    delta = delta * (case["ldam_margin"] / delta.max())
    if p is not None and case["tempered"] == "both":
        delta = delta / case["temperature"]  # as f is
    weight = effective_number_weights(case, n, b)

    def hard(y, reduction):
        f_margin = f - delta * F.one_hot(y, M)
        return F.cross_entropy(case["ldam_scale"] * f_margin, y, weight=weight, reduction=reduction)

    if p is None:
        return hard(b.label, "mean")
    return expected(lambda y: hard(y, "none"), p).sum() / (p @ weight).sum()


def plain(case, inputs, f, p, b):
    if p is None:
        return F.cross_entropy(f, b.label, reduction="none")
    return F.kl_div(F.log_softmax(f, dim=1), p, reduction="none").sum(dim=1) + torch.distributions.Categorical(probs=p).entropy()


def average_margin(p):
    """gamma_avg(y, p) of every class y: p_y minus the mean of the others (methods 1.3)."""
    others = torch.stack([torch.cat((p[:, :y], p[:, y + 1 :]), dim=1).mean(dim=1) for y in range(M)], dim=1)
    return p - others


def adapted(case, inputs, b):
    """clip(s G), G [examples of the batch][class]: the mean margin of the class, or the example's own."""
    temperature = case["ada_temperature"] or case["temperature"]
    if case["ada_per"] == "example":
        margin = average_margin(F.softmax(inputs["teacher"][b.rows] / temperature, dim=1))
    else:
        part = {"validation": "validation_", "train": ""}[case["ada_from"]]
        label, of_each = inputs[part + "label"], average_margin(F.softmax(inputs[part + "teacher"] / temperature, dim=1))
        margin = torch.stack([of_each[label == y, y].mean() for y in range(M)]).expand(BATCH, M)
    return torch.clip(case["ada_scale"] * margin, case["ada_minimum"], case["ada_maximum"])


def ada_margin(case, inputs, f, p, b):
    """Methods 1.3: sum_y p_y log(1 + sum_{j != y} exp(rho_y + f_j - f_y))."""
    if p is None:
        return plain(case, inputs, f, p, b)
    rho = adapted(case, inputs, b)

    def hard(y):
        at = y[:, None]
        others = f.scatter(1, at, -math.inf)
        exponents = rho.gather(1, at) + others - f.gather(1, at)
        return torch.log1p(exponents.exp().sum(dim=1))

    return expected(hard, p)


def balanced_kd(case, inputs, f, p, b):
    """Zhang et al. 2021: the teacher's labels times w_y, and again of sum 1."""
    if p is not None:
        p = p * effective_number_weights(case, class_counts(case, inputs, False), b)
        p = p / p.sum(dim=1, keepdim=True)
    return plain(case, inputs, f, p, b)


ROW_LOSSES = {
    "logit_adjusted": logit_adjusted, "class_balanced": class_balanced, "label_smoothing": label_smoothing, "focal": focal, "ldam": ldam,
    "group_dro": plain, "cvar": plain, "ada_alpha": plain, "ada_margin": ada_margin, "balanced_kd": balanced_kd,
}  # fmt: skip


def rows_loss(case, inputs, f, b):
    mixing, one_hot_weight = weights_of(case)
    if case["objective"] == "ada_alpha":
        mixing = adapted(case, inputs, b).gather(1, b.label[:, None]).squeeze(1).clip(0, 1)
        one_hot_weight = 1 - mixing
    row_loss = ROW_LOSSES[case["objective"]]
    loss = one_hot_weight * row_loss(case, inputs, f, None, b)
    if case["teacher"]:
        p = F.softmax(b.teacher / case["temperature"], dim=1)
        loss = loss + mixing * t_squared_of(case) * row_loss(case, inputs, student_logits(case, f), p, b)
    if case["objective"] == "group_dro":
        return group_means(loss, *groups_of(case, b.label, b.group)) @ b.lam
    if case["objective"] == "cvar":
        n = max(1, math.ceil(case["cvar_fraction"] * len(loss)))
        largest = F.cross_entropy(f, b.label, reduction="none").detach().sort(descending=True)
        assert n == len(loss) or largest.values[n - 1] - largest.values[n] > DECISION
        return loss[largest.indices[:n]].mean()
    return loss.mean()


# ---- objectives that compare the two models' outputs otherwise -----------------------------------------------------------


def dkd_loss(case, f, b):
    """Zhao et al. 2022, as in mdistiller."""
    t, target = case["temperature"], F.one_hot(b.label, M).bool()

    def target_and_rest(q):
        return torch.stack(((q * target).sum(dim=1), (q * ~target).sum(dim=1)), dim=1)

    tckd = F.kl_div(
        torch.log(target_and_rest(F.softmax(f / t, dim=1))), target_and_rest(F.softmax(b.teacher / t, dim=1)), reduction="sum")  # fmt: skip
    nckd = F.kl_div(
        F.log_softmax(f / t - 1000.0 * target, dim=1), F.softmax(b.teacher / t - 1000.0 * target, dim=1), reduction="sum")  # fmt: skip
    epoch = math.floor(b.epoch) + 1  # their epochs are whole numbers from 1 on
    warmup = min(epoch / case["dkd_warmup"], 1.0) if case["dkd_warmup"] else 1.0
    return warmup * t**2 * (case["dkd_alpha"] * tckd + case["dkd_beta"] * nckd) / len(f)


def dist_loss(case, f, b):
    """Huang et al. 2022, with the 1e-8 of their code."""
    t = case["temperature"]
    q, p = F.softmax(f / t, dim=1), F.softmax(b.teacher / t, dim=1)

    def distance(x, y):
        x, y = x - x.mean(dim=1, keepdim=True), y - y.mean(dim=1, keepdim=True)
        return 1 - ((x * y).sum(dim=1) / (x.norm(dim=1) * y.norm(dim=1) + 1e-8)).mean()

    return t**2 * (case["dist_inter"] * distance(q, p) + case["dist_intra"] * distance(q.T, p.T))


def logit_standardized_loss(case, f, b):
    """Sun et al. 2024, as in their code: torch's std is that of a sample."""
    t = case["temperature"]

    def standardise(logits):
        return (logits - logits.mean(dim=1, keepdim=True)) / (1e-7 + logits.std(dim=1, keepdim=True))

    log_q, p = F.log_softmax(standardise(f) / t, dim=1), F.softmax(standardise(b.teacher) / t, dim=1)
    return t**2 * F.kl_div(log_q, p, reduction="batchmean")


def wttm_loss(case, f, b):
    """Zheng and Yang 2024: the teacher's power transform, examples weighted by its normaliser; cross-entropy for their divergence."""
    power = F.softmax(b.teacher, dim=1) ** (1 / case["temperature"])
    u = power.sum(dim=1)
    return (u * F.cross_entropy(f, power / u[:, None], reduction="none")).mean()


OUTPUT_LOSSES = {"dkd": dkd_loss, "dist": dist_loss, "logit_standardized": logit_standardized_loss, "wttm": wttm_loss}


def loss_of(case, inputs, f, b):
    if case["objective"] in OLD:
        return costs_loss(case, inputs, f, b)
    if case["objective"] in ROW_LOSSES:
        return rows_loss(case, inputs, f, b)
    mixing, one_hot_weight = weights_of(case)
    return one_hot_weight * F.cross_entropy(f, b.label) + mixing * OUTPUT_LOSSES[case["objective"]](case, f, b)


# ---- multipliers ----------------------------------------------------------------------------------------------------------


def groups_of(case, label, group):
    """What has a multiplier: the number of it of each example, and how many there are."""
    return (group, N_GROUPS) if case["dro_groups"] == "group" else (label, M)


def group_means(values, group, n):
    """Sagawa et al. 2020, as in their code: 0 for a group that is absent."""
    member = (group == torch.arange(n)[:, None]).to(values.dtype)
    count = member.sum(dim=1)
    return (member @ values) / (count + (count == 0))


def group_dro_step(case, inputs, logits, label, group, lam, risk):
    """lambda_g <- lambda_g exp(step (l_g + C / sqrt(n_g))), normalised, of absent groups too. n_g counts training examples."""
    group, n = groups_of(case, label, group)
    size = torch.bincount(groups_of(case, inputs["label"], inputs["group"])[0], minlength=n)
    if risk == "zero_one":
        assert_clear(logits)
        losses = (logits.argmax(dim=1) != label).to(logits.dtype)
    else:
        losses = F.cross_entropy(logits, label, reduction="none")
    exponent = case["robust_step"] * (group_means(losses, group, n) + case["dro_adjustment"] / torch.sqrt(size))
    lam = lam * torch.exp(exponent)
    return lam / lam.sum()


def assert_clear(logits):
    top = logits.topk(2, dim=1).values
    assert (top[:, 0] - top[:, 1]).min() > DECISION, "a decision that single precision could take otherwise"


def update_multipliers(case, inputs, network, lam):
    with torch.no_grad():
        logits = network(inputs["validation_x"])
        if case["objective"] == "group_dro":
            return group_dro_step(
                case, inputs, logits, inputs["validation_label"], inputs["validation_group"], lam, case["risk"])  # fmt: skip
        if case["validation_labels"] == "teacher":
            p = F.softmax(inputs["validation_teacher"] / (case["validation_temperature"] or case["temperature"]), dim=1)
        else:
            p = F.one_hot(inputs["validation_label"], M).to(logits.dtype)
        if case["risk"] == "zero_one":
            assert_clear(logits)
            risk = 1.0 - F.one_hot(logits.argmax(dim=1), M)
        else:
            risk = -F.log_softmax(logits, dim=1)
        risk_of_class = (p * risk).sum(dim=0) / p.sum(dim=0)
        exponent = case["robust_step"] * (case["tradeoff"] if case["objective"] == "tradeoff" else 1.0)
        lam = lam * torch.exp(exponent * risk_of_class)
        return lam / lam.sum()


def run(case, inputs):
    network = make_network(inputs["parameters"])
    nearest = []  # input of a rectifier to 0

    def note(module, args):
        nearest.append(args[0].detach().abs().min().item())

    for layer in network:
        if isinstance(layer, nn.ReLU):
            layer.register_forward_pre_hook(note)
    weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    groups = [
        {"params": weights, "weight_decay": case["weight_decay"]},
        {"params": biases, "weight_decay": case["weight_decay"] if case["decay_biases"] else 0.0},
    ]
    optimiser = torch.optim.SGD(groups, lr=LR, momentum=case["momentum"], nesterov=bool(case["nesterov"] and case["momentum"]))
    n_multipliers = N_GROUPS if case["dro_groups"] == "group" else M
    lam = torch.full((n_multipliers,), 1 / n_multipliers)
    is_dro = case["objective"] == "group_dro"
    on_train = is_dro and case["dro_learns"] == "train"
    losses, multipliers = [], []
    for step in range(N_STEPS):
        if (case["objective"] in ("robust", "tradeoff") or is_dro and not on_train) and step % UPDATE_EVERY == 0:
            lam = update_multipliers(case, inputs, network, lam)
        for group in optimiser.param_groups:
            group["lr"] = LR + step * LR_STEP
        rows = slice(step * BATCH, (step + 1) * BATCH)
        b = SimpleNamespace(rows=rows, epoch=step / STEPS_PER_EPOCH, **{k: inputs[k][rows] for k in ("label", "group", "teacher")})
        optimiser.zero_grad()
        logits = network(inputs["x"][rows])
        if on_train:
            with torch.no_grad():
                lam = group_dro_step(case, inputs, logits, b.label, b.group, lam, "cross_entropy")
        b.lam = lam
        loss = loss_of(case, inputs, logits, b)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        multipliers.append(lam)
    out = {"losses": torch.tensor(losses), "multipliers": torch.stack(multipliers), "parameters": flatten(network)}
    return out, min(nearest)


def check(name, case, inputs, out):
    """Each key that the case gives matters."""
    change = torch.linalg.norm(out["parameters"] - inputs["parameters"])
    for key, default in (DEFAULTS | MORE_DEFAULTS).items():
        if case[key] == default:
            continue
        try:
            other, _ = run(case | {key: default}, inputs)
        except AssertionError:
            continue  # it decides otherwise: it matters
        # NaN if that training goes to pieces
        effect = torch.linalg.norm(out["parameters"] - other["parameters"]) / change
        if (name, key) in NOT_TO_MATTER:
            assert effect == 0, f"{name}: {key} changes the training by {effect:.1e}"
        else:
            assert not effect <= EFFECT, f"{name}: {key} changes the training by {effect:.1e} only"


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
        case = DEFAULTS | MORE_DEFAULTS | {"teacher": int("mixing" in changed)} | changed
        out, nearest = run(case, inputs)
        assert nearest > RECTIFIER, f"{name}: a rectifier that single precision could open or shut otherwise ({nearest:.1e})"
        check(name, case, inputs, out)
        has_more = not MORE_DEFAULTS.keys().isdisjoint(changed) or case["objective"] not in OLD
        lead = {key: case[key] for key in (case if has_more else DEFAULTS)}
        write(FOLDER / f"golden_{name}.txt", lead, out, 10)


if __name__ == "__main__":
    main()
