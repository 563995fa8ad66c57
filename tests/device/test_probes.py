from __future__ import annotations

import threading

from gdws_agent.probes import Probes
from support.agents import available, missing


def test_a_probe_is_asked_once_however_many_ask():
    asked = []

    def probe():
        asked.append(1)
        return [available()]

    probes = Probes(probe, list)
    threads = [threading.Thread(target=probes.backends) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert probes.backends() == [available()]
    assert len(asked) == 1


def test_nobody_can_change_what_was_found():
    probes = Probes(lambda: [available()], list)
    probes.backends().clear()
    assert probes.backends() == [available()]


def test_the_best_sensor_is_the_first_that_is_there():
    probes = Probes(list, lambda: [missing("jtop"), available("ina3221"), available("none")])
    assert probes.best_power_sensor() == "ina3221"


def test_without_a_sensor_it_is_none():
    assert Probes(list, lambda: [missing("jtop")]).best_power_sensor() == "none"


def test_a_simulated_board_is_known_by_what_its_sensor_says():
    assert Probes(list, lambda: [missing("none"), available("jtop", detail={"simulated": "true"})]).simulated()
    assert not Probes(list, lambda: [available("jtop", detail={"module": "Xavier"})]).simulated()
