"""The Makefile tests less under later Pythons, since most of their packages are those that all else is tested with."""

from __future__ import annotations

import re

from support.loading import ROOT


def pins(path: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / path).read_text(), flags=re.MULTILINE))


#: What ``TESTS310`` covers, and what none of our code calls but through those.
DIFFERENT_IN_JETPACK_6 = {
    "annotated-doc",
    "fastapi",
    "hypothesis",
    "mpmath",
    "numpy",
    "onnxruntime",
    "python-multipart",
    "starlette",
    "sympy",
}


def test_the_packages_of_jetpack_6_are_the_hosts_but_for_those_that_are_tested() -> None:
    host, jetpack = pins("host/constraints.txt"), pins("device/constraints/jetpack6.txt")
    assert len(jetpack.keys() & host.keys()) > 30
    assert {name for name in jetpack.keys() & host.keys() if jetpack[name] != host[name]} <= DIFFERENT_IN_JETPACK_6


def test_the_packages_of_jetpack_7_are_the_hosts_but_for_numpy() -> None:
    host, jetpack = pins("host/constraints.txt"), pins("device/constraints/jetpack7.txt")
    assert len(jetpack.keys() & host.keys()) > 30
    assert {name for name in jetpack.keys() & host.keys() if jetpack[name] != host[name]} <= {"numpy"}
