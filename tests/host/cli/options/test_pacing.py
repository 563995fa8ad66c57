from __future__ import annotations

from pathlib import Path

import pytest

from gdws.cli.options.pacing import PacingOptions, read_instants
from gdws.errors import GdwsError
from gdws_contract.pacing import Pacing
from gdws_contract.rest import BenchmarkRequest
from support.command import gdws


def test_options_become_fields_of_the_contract() -> None:
    options = PacingOptions(rate=30, deadline=20, paced_duration=2, highest_rate=True, max_miss_rate=0.5)
    found = Pacing.model_validate(options.pacing())
    assert (found.rate_hz, found.deadline_ms, found.duration_ms) == (30, 20, 2_000)
    assert (found.search, found.max_miss_rate) == (True, 0.005)
    assert PacingOptions().pacing() is None
    assert PacingOptions(time_series=500).series() == {"max_points": 500}
    assert PacingOptions().series() is None


@pytest.mark.parametrize("given", [{"deadline": 5.0}, {"paced_duration": 1.0}, {"max_miss_rate": 1.0}])
def test_options_without_arrivals_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(GdwsError, match="for arrivals by a clock") as caught:
        PacingOptions(**given).pacing()  # type: ignore[arg-type]
    assert "--rate" in (caught.value.hint or "")


def test_misses_are_limited_in_a_search_alone() -> None:
    with pytest.raises(GdwsError, match="is for --highest-rate") as caught:
        PacingOptions(rate=30, max_miss_rate=1.0).pacing()
    assert "gdws gate" in (caught.value.hint or "")


def test_misses_are_a_percentage(tmp_path: Path) -> None:
    ended = gdws("bench", tmp_path / "net.gdws", "--highest-rate", "--max-miss-rate", "200")
    assert ended.exit_code == 2
    assert "less than or equal to 100" in ended.stderr


def test_instants_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.txt"
    path.write_text("\ufeff0\n16.7\n\n 33.4 \n", encoding="utf-8")
    assert read_instants(path) == [0, 16.7, 33.4]
    path.write_text("0\nsoon\n")
    with pytest.raises(GdwsError, match="line 2: 'soon' is not a number"):
        read_instants(path)


def test_what_agents_of_earlier_releases_do_not_know_is_left_out_unless_it_is_asked_for() -> None:
    plain = BenchmarkRequest(model_id="0" * 64).model_dump()
    assert not plain.keys() & {"pacing", "series", "priority", "limits"}
    asked = BenchmarkRequest(model_id="0" * 64, pacing={"rate_hz": 30}, series={}).model_dump()
    assert asked.keys() >= {"pacing", "series"}
