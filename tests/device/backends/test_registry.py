import pytest

from gdws_agent.backends import registry
from gdws_agent.errors import UnknownBackend


def test_every_backend_goes_by_its_name():
    assert [registry.get(name).name for name in registry.BACKENDS] == list(registry.BACKENDS)


def test_probing_tells_of_every_backend_in_order():
    assert [availability.name for availability in registry.probe_all()] == list(registry.BACKENDS)


def test_an_unknown_name_tells_the_known():
    with pytest.raises(UnknownBackend, match="'warp'") as caught:
        registry.get("warp")
    assert "onnxruntime" in (caught.value.hint or "")
