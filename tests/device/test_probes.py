import os
import resource
import threading
from contextlib import contextmanager

import pytest

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


@contextmanager
def no_descriptors():
    """Have this process find none for a while."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_was_not_found_for_want_of_descriptors_is_asked_again():
    """A file that cannot be opened for that reason looks like a board without the sensor."""

    def probe():
        return [available("ina3221") if opens(os.devnull) else missing("ina3221")]

    probes = Probes(probe, probe)
    with no_descriptors():
        for ask in (probes.power_sensors, probes.backends, probes.best_power_sensor, probes.simulated):
            with pytest.raises(OSError, match="Too many open files"):
                ask()
    assert probes.best_power_sensor() == "ina3221"
    assert probes.backends() == [available("ina3221")]


def test_an_answer_is_not_kept_if_descriptors_ran_out_during_the_probe():
    held = []

    def probe():
        if held:
            return [available("ina3221")]
        held.append(no_descriptors())
        held[0].__enter__()
        return [missing("ina3221")]

    probes = Probes(list, probe)
    try:
        with pytest.raises(OSError, match="Too many open files"):
            probes.best_power_sensor()
    finally:
        held[0].__exit__(None, None, None)
    assert probes.best_power_sensor() == "ina3221"


def opens(path):
    try:
        with open(path):
            return True
    except OSError:
        return False
