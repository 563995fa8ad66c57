import pytest

from gdws_agent.power import registry
from gdws_agent.power.base import UnknownSensor, Unmeasured, Window
from gdws_agent.power.none import NoSensor


def test_it_is_always_there():
    assert NoSensor().probe().available


def test_it_is_the_last_choice():
    assert list(registry.SENSORS)[-1] == "none"
    assert [availability.name for availability in registry.probe_all()] == list(registry.SENSORS)


def test_it_measures_nothing_and_says_so():
    sensor = NoSensor()
    sensor.start()
    account = sensor.stop().account([Window(0.0, 10.0)], inferences=100, batch_size=8)
    assert account.flags == []
    assert account.power.model_dump(exclude_none=True, exclude={"reason"}) == {"sensor": "none", "rails": []}
    assert "no power sensor" in (account.power.reason or "")


def test_unmeasured_gives_the_reason():
    account = Unmeasured("jtop", "the service is gone").account([], inferences=1, batch_size=1)
    assert (account.power.sensor, account.power.reason) == ("jtop", "the service is gone")


def test_an_unknown_name_tells_the_known():
    with pytest.raises(UnknownSensor, match=r"'dynamo'; known are .*none"):
        registry.get("dynamo")
