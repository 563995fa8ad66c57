"""The HTML report: self-contained, accessible, and safe against what a bundle may say of itself."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import gdws.results.report
from gdws.results.report import render, write
from gdws_contract.measures import Flag
from gdws_contract.rest import BenchmarkResult
from support.benchmark_results import (
    CUT,
    DENSE,
    KEPT,
    SLOW,
    attack_check,
    cell,
    failed_cell,
    jetson_result,
    layer,
    parity_failed_cell,
    profiled_cell,
    result,
)

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload=alert(3) {{ 7*7 }}"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, checked for balance, and the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def full_result() -> BenchmarkResult:
    """Two batch sizes, layers, a parity failure, a failure, a flag."""
    layers = (layer("conv1", converted=False, reason="the first convolution"), layer("layer1.conv1"))
    kept = replace(KEPT, layers=layers)
    cells = [
        cell(DENSE, DENSE, 1),
        cell(kept, DENSE, 1, flags=(Flag(code="unstable", detail="coefficient of variation 12 %"),)),
        parity_failed_cell(CUT, 1),
        cell(DENSE, DENSE, 8),
        cell(kept, DENSE, 8),
        failed_cell(CUT, 8, "out of memory at batch 8"),
    ]
    return result([DENSE, kept, CUT], batch_sizes=(1, 8), cells=cells, description="A network.")


def hostile_result() -> BenchmarkResult:
    """Every free text of a result is an attack."""
    layers = (layer(HOSTILE, converted=False, reason=HOSTILE), layer(HOSTILE))
    nets = [replace(DENSE, method=HOSTILE), replace(KEPT, method=HOSTILE, layers=layers)]
    cells = [
        cell(nets[0], nets[0], 1, flags=(Flag(code="unstable", detail=HOSTILE),)),
        failed_cell(nets[1], 1, HOSTILE),
    ]
    made = result(nets, cells=cells, hostname=HOSTILE, description=HOSTILE, label=HOSTILE)
    manifest = made.manifest.model_copy(update={"provenance": {HOSTILE: HOSTILE}})
    return made.model_copy(update={"manifest": manifest})


@pytest.mark.parametrize("results", [[full_result()], [full_result(), result([DENSE, SLOW], hostname="other")]])
def test_the_page_is_well_formed_and_needs_nothing_else(results: list[BenchmarkResult]) -> None:
    source = render(results, ".html")
    page = Page(source)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert page.attributes("src") == []
    references = [*page.attributes("href"), *page.attributes("xlink:href")]
    assert all(reference and reference.startswith("#") for reference in references)
    assert "url(" not in source.replace("url(#", "")
    assert "@import" not in source
    identifiers = page.attributes("id")
    assert len(identifiers) == len(set(identifiers))
    targets = {reference[1:] for reference in references if reference}
    targets |= set(re.findall(r"url\(#([^)]+)\)", source))
    assert targets <= set(identifiers)


def test_the_page_is_accessible() -> None:
    page = Page(render([full_result()], ".html"))
    assert dict(page.tags)["html"]["lang"] == "en"
    assert all(
        attributes.get("role") == "img" and attributes.get("aria-label")
        for tag, attributes in page.tags
        if tag == "svg"
    )
    assert sum(tag == "svg" for tag, _ in page.tags) == 2
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
    regions = [attributes for _, attributes in page.tags if attributes.get("class") == "scroll"]
    assert regions
    assert all(region.get("tabindex") == "0" and region.get("aria-label") for region in regions)


def test_the_page_says_what_was_found() -> None:
    text = " ".join(Page(render([full_result()], ".html")).text.split())
    for words in (
        "mean-rank-4 runs 1.33× as fast as the baseline at batch 1",
        "logits differ by 0.31 of the largest",
        "out of memory at batch 8",
        "coefficient of variation 12 %",
        "dense: the first convolution",
        "Power was not measured: no power sensor was found",
        "ab" * 32,
        "10; the networks take turns in each round",
    ):
        assert words in text


def test_nothing_in_a_result_becomes_markup() -> None:
    source = render([hostile_result(), hostile_result()], ".html")
    page = Page(source)
    assert not {tag for tag, _ in page.tags} & {"script", "img"}
    assert not page.attributes("onerror")
    assert not page.attributes("onload")
    assert "{{ 7*7 }}" in page.text
    assert HOSTILE in page.text


def test_an_empty_result_still_gives_a_page() -> None:
    page = Page(render([result([DENSE, KEPT], cells=[], state="failed")], ".html"))
    assert "Nothing was measured" in page.text


def test_the_same_results_give_the_same_page() -> None:
    assert render([full_result()], ".html") == render([full_result()], ".html")


def test_write_picks_the_format_by_the_suffix(tmp_path: Path) -> None:
    write([full_result()], tmp_path / "out" / "report.HTML")
    assert (tmp_path / "out" / "report.HTML").read_text().startswith("<!doctype html>")


def _schemes() -> dict[str, dict[str, str]]:
    css = Path(gdws.results.report.__file__).with_name("templates").joinpath("report.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    light, dark, paper = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in blocks)
    return {"light": light, "dark": dark, "print": paper}


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize("colour", ["ink", "muted", "accent", "good", "warn", "bad"])
@pytest.mark.parametrize("ground", ["page", "panel"])
def test_text_has_the_contrast_that_wcag_aa_asks_for(scheme: str, colour: str, ground: str) -> None:
    colours = _schemes()[scheme]
    brighter, darker = sorted((_luminance(colours[colour]), _luminance(colours[ground])), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= 4.5


def test_what_a_jetson_tells_is_shown() -> None:
    page = render([jetson_result([DENSE, KEPT], modes=("MAXN", 2))], ".html")
    for text in ("Power and energy", "57.1 mJ", "Heat and clocks", "GPU-therm", "Burst against sustained", "3 built"):
        assert text in page
    assert page.count("batch 1 · tensorrt · fp16 · power mode 2") == 6


def test_a_plain_machine_has_no_empty_columns() -> None:
    page = render([result([DENSE, KEPT])], ".html")
    for text in ("Power and energy", "Heat and clocks", "By the device", "Burst against", "<h2>Engines", "Mean power"):
        assert text not in page


def test_a_simulated_jetson_is_told_first() -> None:
    page = render([jetson_result([DENSE, KEPT], simulated=True)], ".html")
    assert page.index("On a simulated device, whose times and power describe no hardware") < page.index("<h2>")


def test_a_profile_is_shown_layer_by_layer() -> None:
    page = render([result([DENSE], cells=[profiled_cell(DENSE)])], ".html")
    assert "Time layer by layer" in page
    assert "conv1/Conv" in page
    assert "Every measurement" not in page


def test_a_robust_accuracy_that_is_not_to_be_trusted_is_marked() -> None:
    page = Page(render([result([DENSE, replace(KEPT, check=attack_check(random=True))])], ".html"))
    assert page.text.count("95.5 %not to be trusted") == 1
    assert "The network is random" in page.text
    assert "not to be trusted" not in Page(render([result([DENSE, KEPT])], ".html")).text
