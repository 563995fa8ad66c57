"""One result with everything that is said about it: what every renderer is given."""

from __future__ import annotations

from dataclasses import dataclass

from gdws.results.report.doubts import doubts
from gdws.results.report.figures import Facts, facts
from gdws_contract.findings.verdict import Verdict
from gdws_contract.rest import BenchmarkResult


@dataclass(frozen=True)
class Summary:
    """The figures of one result, the verdict on them, and the doubts about them."""

    headline: str
    verdicts: tuple[Verdict, ...]
    doubts: tuple[str, ...]
    facts: Facts


def summarise(result: BenchmarkResult) -> Summary:
    """Everything that a report says of ``result``."""
    found = facts(result)
    says = found.findings
    return Summary(headline=says.headline, verdicts=says.verdicts, doubts=doubts(found), facts=found)
