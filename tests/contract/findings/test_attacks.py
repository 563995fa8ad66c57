from __future__ import annotations

from dataclasses import replace

import pytest

from gdws_contract.findings.attacks import attacks_of
from gdws_contract.findings.result import findings_of
from gdws_contract.rest import BenchmarkRequest
from support.benchmark_results import CUT, DENSE, KEPT, MODEL_ID, attacked_cell, parity_failed_cell, result

INT8 = replace(DENSE, name="dense-int8", in_int8=True)


def findings(*cells, nets=(DENSE, KEPT)):
    made = result(list(nets), cells=list(cells), request=BenchmarkRequest(model_id=MODEL_ID, attack={}))
    return findings_of(made.job, made.manifest, is_simulated=False)


def changes(found, number=0):
    return {each.against: each.change for each in found.attacks[number].changes}


def test_an_engine_is_compared_on_the_very_same_images():
    found = findings(attacked_cell(DENSE, 20), attacked_cell(KEPT, 40))
    assert set(changes(found, 0)) == set()
    change = changes(found, 1)["baseline"]
    assert change.points == -20
    assert change.high < 0
    # Not as if they were two samples: then a fall from 80 to 60 of 100 would reach up to -7.
    assert change.high < -11
    (sentence,) = found.attacks[1].sentences
    assert sentence.startswith("mean-rank-4 at batch 1 is less robust than the dense network: −20.0 points")
    assert not found.attacks[1].is_less_robust  # it came from another network


def test_chance_is_no_finding():
    found = findings(attacked_cell(DENSE, 20), attacked_cell(KEPT, 22))
    assert changes(found, 1)["baseline"].points == -2
    assert found.attacks[1].sentences == ()


def test_another_precision_is_beside_fp32():
    found = findings(attacked_cell(DENSE, 20), attacked_cell(DENSE, 35, precision="int8"), nets=[DENSE])
    assert changes(found, 0) == {}
    assert found.attacks[1].is_less_robust
    (sentence,) = found.attacks[1].sentences
    assert "dense at batch 1 in int8 is less robust than the same network in fp32" in sentence
    assert sentence in found.headline


def test_a_quantised_network_is_beside_the_one_it_came_from():
    found = findings(attacked_cell(DENSE, 20), attacked_cell(INT8, 35), nets=[DENSE, INT8])
    assert changes(found, 1)["floating-form"].points == -15
    assert found.attacks[1].is_less_robust
    assert "less robust than dense, whose INT8 form it is:" in found.attacks[1].sentences[0]


def test_less_than_the_record_of_the_host_is_told_with_both_causes():
    found = findings(attacked_cell(DENSE, 30, host_wrong=10), nets=[DENSE])
    assert changes(found)["record"].points == -20
    (sentence,) = found.attacks[0].sentences
    assert "than its record on the host shows" in sentence
    assert "or the attack on the host missed what there is" in sentence
    assert found.attacks[0].is_less_robust


def test_more_than_the_record_of_the_host_is_no_news():
    """PGD with gradients finds more than queries do."""
    found = findings(attacked_cell(DENSE, 10, host_wrong=30), nets=[DENSE])
    assert changes(found)["record"].points == 20
    assert (found.attacks[0].sentences, found.attacks[0].is_less_robust) == ((), False)


def test_only_the_same_attack_is_compared():
    other = attacked_cell(KEPT, 40)
    harder = other.attack.attack.model_copy(update={"iterations": 5000})
    other = other.model_copy(update={"attack": other.attack.model_copy(update={"attack": harder})})
    assert changes(findings(attacked_cell(DENSE, 20), other), 1) == {}


def test_fewer_images_are_compared_where_both_have_them():
    found = findings(attacked_cell(DENSE, 20, count=50), attacked_cell(KEPT, 40))
    assert found.attacks[1].changes[0].count == 50
    assert changes(found, 1)["baseline"].points == -40


def test_the_headline_tells_upper_bounds_and_no_verdict():
    found = findings(attacked_cell(DENSE, 20), attacked_cell(KEPT, 22))
    assert (found.verdicts, found.is_attack, found.is_timed) == ((), True, False)
    assert found.headline == (
        "Under Square Attack (linf, eps 0.2, 1,000 queries for each image), by queries to the engine at batch 1, at "
        "most this share of 100 images is robust: dense 80.0 % (71.1–86.7 %); mean-rank-4 78.0 % (68.9–85.0 %)."
    )
    assert all("attacked instead of being timed" in cell.reason for cell in found.cells)


@pytest.mark.parametrize("cells", [[], [parity_failed_cell(DENSE, 1)]])
def test_where_no_attack_ended_nothing_is_known(cells):
    found = findings(*cells, nets=[DENSE])
    assert found.headline.startswith("No attack came to its end")
    assert found.attacks == ()


def test_without_the_bundle_there_is_no_baseline():
    cells = [attacked_cell(DENSE, 20), attacked_cell(CUT, 60), attacked_cell(CUT, 80, precision="fp16")]
    found = attacks_of(cells, None, [])
    assert [[each.against for each in one.changes] for one in found] == [[], [], ["fp32"]]
