"""A report of every shape of sweep: well-formed, self-contained, with the figures that it can fill."""

import re
from xml.etree import ElementTree

import pytest
from kdsweep_analysis import Sweep, figures
from shapes import SHAPES, parse


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("error")
def test_report_of_every_shape(report, shape):
    path, folder, text = report(shape)
    page = parse(text)
    # self-contained: nothing is loaded from anywhere
    for element in page.iter():
        assert not isinstance(element.tag, str) or element.tag not in ("script", "link", "iframe"), element.tag
        assert element.get("src", "data:image/").startswith("data:image/")
        if element.tag == "img":
            assert element.get("alt")
    assert "http:" not in re.sub(r"data:image[^\"]*", "", text) and "https:" not in re.sub(
        r"data:image[^\"]*", "", text
    )
    # every link leads somewhere, every figure is there in both formats, and they are what their names say
    ids = {e.get("id") for e in page.iter() if e.get("id")}
    links = [e.get("href") for e in page.iter("a")]
    for link in links:
        assert link[1:] in ids if link.startswith("#") else (folder / link).is_file(), link
    for svg in (folder / "figures").glob("*.svg"):
        assert ElementTree.parse(svg).getroot().tag.endswith("svg")
        assert f"figures/{svg.name}" in links and f"figures/{svg.stem}.png" in links
        assert svg.with_suffix(".png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    for word, n in Sweep(path).status_counts().items():
        assert [e.text for e in page.iter("b") if e.get("data-status") == word] == [str(n)]
    words = "".join(page.itertext())
    assert "nan" not in re.findall(r"[\w.]+", words) and "None" not in re.findall(r"\w+", words)


EXPECTED = {  # figures of each shape
    "full": {"matrix", "worst_against_average", "imbalance", "learning_curves", "time"}
    | {f"{name}_imbalance_ratio_{r}" for name in ("per_class", "temperature") for r in (1, 10, 100)},
    "empty": set(),
    "one_temperature": {"matrix", "worst_against_average", "imbalance", "learning_curves", "time"}
    | {f"per_class_imbalance_ratio_{r}" for r in (1, 100)},
    "robust_only": {"matrix", "worst_against_average", "per_class", "temperature", "learning_curves", "time"},
    "one_epoch": {"matrix", "worst_against_average", "per_class", "time"},
    "all_failed": {"time"},
}


@pytest.mark.parametrize("shape", EXPECTED)
def test_figures_of_a_shape(report, shape):
    _, folder, text = report(shape)
    assert {p.stem for p in (folder / "figures").glob("*.png")} == EXPECTED[shape]
    if shape == "one_temperature":
        assert "Not drawn: all students have T = 2." in text
    if shape == "empty":
        assert "No trial is finished yet." in text and text.count("Not drawn: ") == len(figures.FIGURES)


def test_notes_say_what_is_special(report):
    assert "there is no spread" in report("one_seed")[2] and "no interval" in report("one_seed")[2]
    assert "Further axes" in report("learning_rates")[2] and "Further axes" not in report("full")[2]
    assert "no differences are given" in report("robust_only")[2]
    assert "preliminary" in report("half")[2] and "preliminary" not in report("one_seed")[2]
    assert "rarely missing at random" in report("full")[2]
    assert 'id="group-table"' in report("groups")[2] and 'id="group-table"' not in report("full")[2]
