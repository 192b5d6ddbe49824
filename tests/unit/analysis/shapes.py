"""Sweeps of every shape, as options of make_results; and a strict reader of HTML."""

import html5lib

ONE = dict(ratios=(1.0,), seeds=(0,), temperatures=(1.0,))
SHAPES = {
    "full": dict(failed=(100,), diverged=(151, 152), missing=(200,)),
    "half": dict(done=0.5, ratios=(100.0,)),
    "empty": dict(done=0.0, ratios=(1.0, 100.0)),
    "one_trial": dict(done=1 / 50, ratios=(1.0,), temperatures=(1.0,)),
    "one_seed": dict(seeds=(7,), ratios=(100.0,)),
    "one_temperature": dict(temperatures=(2.0,), ratios=(1.0, 100.0)),
    "no_baseline": dict(baseline=False, ratios=(100.0,)),
    "robust_only": dict(baseline=False, teachers=("robust",), students=("robust",), ratios=(1.0,)),
    "learning_rates": dict(ratios=(10.0,), seeds=(0, 1), temperatures=(1.0, 4.0), extra={"student_lr": (0.03, 0.3)}),
    "models": dict(
        ratios=(1.0, 10.0), seeds=(0, 1), temperatures=(1.0,), extra={"student_model": ("mlp:16", "mlp:64")}
    ),
    "tradeoff": dict(
        ratios=(1.0,),
        seeds=(0, 1),
        temperatures=(1.0,),
        teachers=("tradeoff",),
        students=("standard", "tradeoff"),
        extra={"teacher_tradeoff": (10.0, 0.0, 0.5), "student_tradeoff": (10.0, 0.0, 0.5)},
    ),
    "groups": dict(groups=("red", "green", "blue"), ratios=(1.0,), temperatures=(1.0,)),
    "two_classes": dict(n_classes=2, ratios=(1.0, 10.0), seeds=(0, 1), temperatures=(1.0,)),
    "hundred_classes": dict(
        n_classes=100, n_per_class=10, ratios=(100.0,), seeds=(0, 1), temperatures=(1.0, 4.0), n_epochs=3
    ),
    "no_counts": dict(counts=False, predictions=False, **ONE),
    "one_epoch": dict(n_epochs=1, **ONE),
    "all_failed": dict(failed=tuple(range(15)), **ONE),
    "many_ranks": dict(n_ranks=100, ratios=(1.0,), temperatures=(1.0,)),
}


def parse(text):
    """Strict: html5lib's parse errors are errors."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(text)
