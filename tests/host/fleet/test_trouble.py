"""What an error of a device means, and which machine answers."""

from __future__ import annotations

import pytest

from gdws.errors import DeviceError, DeviceProtocolError, DeviceRefused, DeviceUnreachable
from gdws.fleet.trouble import IdentityChanged, Scope, identity, judge, require_same
from support.benchmark_results import device

URL = "http://orin:8000"


def refused(status: int) -> DeviceRefused:
    return DeviceRefused("no", url=URL, status=status)


@pytest.mark.parametrize(
    ("error", "scope"),
    [
        (DeviceUnreachable("away", url=URL), Scope.LATER),
        (DeviceProtocolError("garbage", url=URL), Scope.LATER),
        (refused(429), Scope.LATER),
        (refused(503), Scope.LATER),
        (refused(507), Scope.LATER),
        (refused(401), Scope.DEVICE),
        (refused(403), Scope.DEVICE),
        (IdentityChanged("other", url=URL), Scope.DEVICE),
        (refused(409), Scope.JOB),
        (refused(422), Scope.JOB),
    ],
)
def test_each_error_is_temporary_or_of_the_device_or_of_the_job(error: DeviceError, scope: Scope) -> None:
    assert judge(error).scope is scope


def test_the_reason_tells_the_fix() -> None:
    assert judge(DeviceUnreachable("away", url=URL, hint="switch it on")).reason == "away (switch it on)"


def test_a_refused_token_is_mended_in_the_file_of_devices() -> None:
    error = DeviceRefused("the token is not known", url=URL, status=401, hint="set GDWS_TOKEN")
    assert "token_file or token_variable" in judge(error).reason
    assert "GDWS_TOKEN" not in judge(error).reason


def test_the_same_machine_is_recognised_after_an_upgrade() -> None:
    before = identity(device(hostname="orin"))
    require_same(before, device(hostname="orin").model_copy(update={"l4t": "36.4", "kernel": "7"}), URL)


@pytest.mark.parametrize("change", [{"hostname": "nano"}, {"board": "Jetson Nano"}, {"cpu_model": None}])
def test_another_machine_is_told_from_it(change: dict[str, str]) -> None:
    before = identity(device(hostname="orin"))
    with pytest.raises(IdentityChanged, match="another machine answers at http://orin:8000"):
        require_same(before, device(hostname="orin").model_copy(update=change), URL)
