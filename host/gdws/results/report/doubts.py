"""What a reader should know before trusting a figure."""

from __future__ import annotations

from collections.abc import Iterable

from gdws.results.near_chance import NEAR_CHANCE, is_near_chance
from gdws.results.report.figures import Facts, Measurement, VariantFacts
from gdws_contract.findings import text
from gdws_contract.findings.setting import Setting


def doubts(facts: Facts) -> tuple[str, ...]:
    """Reservations as sentences, most important first; empty if there are none."""
    measured = facts.measurements
    timed = [m for m in measured if m.latency is not None]
    attacked = [m for m in measured if m.attack is not None]
    found: list[str] = []
    if any(m.simulated for m in measured):
        found.append("The device is simulated: its times and power describe no hardware.")
    if facts.partial:
        ended, done = (attacked, "attacked") if facts.findings.is_attack else (timed, "timed")
        found.append(f"The run was stopped early: {len(ended)} of {text.plural(len(measured), 'cell')} were {done}.")
    found += [f"{variant.name}: {doubt}" for variant in facts.variants for doubt in _accuracies(variant)]
    found += [doubt for m in attacked for doubt in _attacks(facts, m)]
    not_done, lacks = ("attacked", "was not attacked") if facts.findings.is_attack else ("timed", "has no times")
    failed = [m for m in measured if m.state == "parity_failed"]
    found += _untimed(facts, failed, f"failed parity and was not {not_done}")
    told = ("parity_failed", "not_measured") if facts.partial else ("parity_failed",)
    untimed = [m for m in measured if m.latency is None and m.profile is None and m.attack is None]
    found += _untimed(facts, [m for m in untimed if m.state not in told], lacks)
    flagged = [m for m in timed if m.flags]
    if flagged:
        codes = text.listed(sorted({flag.code for m in flagged for flag in m.flags}))
        found.append(f"{text.plural(len(flagged), 'cell')} of the {len(timed)} timed carry a flag: {codes}.")
    found += [doubt for setting in facts.settings for doubt in _contradictions(facts, setting)]
    found += [doubt for m in timed for doubt in _replay(facts, m)]
    return tuple(found)


def _accuracies(variant: VariantFacts) -> list[str]:
    """What the accuracies on the host rest on."""
    found = [] if variant.attack_check is None else variant.attack_check.doubts()
    if variant.is_baseline and variant.natural is not None and is_near_chance(variant.natural, variant.classes):
        found.append(NEAR_CHANCE)
    return found


def _attacks(facts: Facts, measurement: Measurement) -> list[str]:
    """Where an engine is less robust than what it came from, and where the attack on it shows little."""
    found = list(measurement.attacked.sentences) if measurement.attacked else []
    where = f"{measurement.variant} {measurement.setting.among(facts.settings)}"
    return [*found, *(f"{where}: {flag.detail}." for flag in measurement.flags)]


def _untimed(facts: Facts, measured: Iterable[Measurement], what: str) -> list[str]:
    """One sentence for each network and reason, with the settings in which it holds."""
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for m in measured:
        groups.setdefault((m.variant, m.reason or "no reason is given"), []).append(m)
    return [
        f"{variant} {what} {text.listed([m.setting.among(facts.settings) for m in group])}: {reason.rstrip('.')}."
        for (variant, reason), group in groups.items()
    ]


def _contradictions(facts: Facts, setting: Setting) -> list[str]:
    """Networks that are faster by the paired medians and slower by images per second, or the reverse."""
    measured, where = facts.at(setting), setting.among(facts.settings)
    dense = next((m.fps for m in measured if m.is_baseline), None)
    found = []
    for m in measured:
        if m.speedup is None or m.fps is None or not dense:
            continue
        by_rate = m.fps / dense
        if (by_rate > 1) != (m.speedup.ratio > 1):
            found.append(
                f"{m.variant} {where} has a speed-up of {text.ratio(m.speedup.ratio)} by its medians, "
                f"but {text.ratio(by_rate)} by images per second: slow outliers raise the mean."
            )
    return found


def _replay(facts: Facts, measurement: Measurement) -> list[str]:
    """Accuracy on the device that differs from the host's on the very same inputs."""
    parity = measurement.parity
    if parity is None or facts.circumstances.verification.origin != "labelled":
        return []
    where = measurement.setting.among(facts.settings)
    pairs = [("natural", parity.natural, parity.natural_host), ("adversarial", parity.robust, parity.robust_host)]
    return [
        f"{measurement.variant} {where} classifies {device.successes} of {device.count} "
        f"{kind} inputs correctly on the device, and {host.successes} of {host.count} on the host."
        for kind, device, host in pairs
        if device is not None and host is not None and device.successes != host.successes
    ]
