"""Runs a gate, a noise calibration or a baseline from bundles, settings and devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from gdws._util.visible_text import visible
from gdws.device.devices import Device
from gdws.errors import DeviceError, GdwsError
from gdws.gate.baseline import Baseline, load_baseline, make_baseline
from gdws.gate.consistency import Consistency
from gdws.gate.coverage import Expected
from gdws.gate.evidence import Evidence, doubts, evidence_of, task_differences
from gdws.gate.facts import NetworkFacts
from gdws.gate.figures import Run, Subject
from gdws.gate.metric_drops import Evaluations
from gdws.gate.noise import Noise, circumstances, default_path, spreads
from gdws.gate.outputs import remove_outputs, write_outputs
from gdws.gate.pairing import SAME_TASK, Pairing, plan_pairing
from gdws.gate.records import network_facts
from gdws.gate.reports import GateReport
from gdws.gate.run import DeviceGate
from gdws.gate.session import DeviceAccess, Say, Session
from gdws.gate.settings import GateSettings
from gdws.gate.side_by_side import run_all
from gdws_contract.archive import open_bundle
from gdws_contract.base import safe_name
from gdws_contract.findings import text
from gdws_contract.rest import BenchmarkResult

__all__ = ["DeviceAccess", "calibrate", "measure_baseline", "pack_shipped", "run_gate"]

_STEADY = "measure again, and make sure that nobody changes the device's settings meanwhile"
#: Images in the bundle of the shipped network: few, since only its times are needed.
_REPLAYED = 16


class Ended(NamedTuple):
    """A finished gate; ``interrupt`` is what ended it early, if anything; the report has what was measured by then."""

    report: GateReport
    interrupt: KeyboardInterrupt | None
    warnings: tuple[str, ...]


def run_gate(
    bundle: Path,
    devices: Sequence[Device],
    settings: GateSettings,
    *,
    baseline: Path | None,
    folder: Path,
    noise: Path | None,
    access: DeviceAccess,
    say: Say,
) -> Ended:
    """Run the gate on all devices at the same time, and write the files for CI to ``folder``.

    ``noise`` is a file of the device's noise to use instead of the one in the user's data folder. An output that cannot
    be written is only a warning.

    Raises:
        GdwsError: bundle, baseline or limits do not fit together.
        OSError: a file cannot be read.
    """
    kept, beside = _read_baseline(baseline)
    needed = settings.limits.needs_baseline
    if needed and baseline is None:
        raise GdwsError(f"{needed[0]} needs a baseline", hint="give --baseline FILE")
    pairing = plan_pairing(bundle, beside, settings.measure.networks)
    networks = _with_kept(network_facts(pairing), kept)
    evidence, known = _read_evidence(bundle), _evidence_of_baseline(kept, beside)
    if known is not None and task_differences(known, evidence):
        raise GdwsError(f"{baseline} and {bundle} have different inputs or outputs", hint=SAME_TASK)
    gone = _gone(pairing, kept, settings)
    expected = Expected(
        networks=pairing.networks,
        paired=pairing.paired,
        gone=[name for name in gone if name not in settings.gate.allow_missing],
        asked=settings.measure,
        images=evidence.count,
        kept=[entry.subject for entry in (kept.entries if kept else ()) if entry.network in pairing.networks],
    )
    started_at = _now()

    def gate_on(device: Device) -> DeviceGate:
        return DeviceGate(
            name=device.name,
            session=_session(
                device,
                pairing,
                settings,
                folder / safe_name(device.name, default="device"),
                access,
                _named(say, device, devices),
            ),
            limits=settings.limits,
            sequencing=settings.gate,
            networks=networks,
            doubts=doubts(evidence, known, has_baseline=baseline is not None),
            expected=expected,
            remarks=_remarks(settings, gone, evidence),
            baseline=kept,
            noise_path=default_path if noise is None else lambda *_: noise,
        )

    gates = [gate_on(device) for device in devices]
    warnings = remove_outputs(folder)
    reports, interrupt = run_all([gate.run for gate in gates], [gate.session for gate in gates])
    compared = visible(str(bundle)), None if baseline is None else visible(str(baseline))
    report = GateReport(*compared, started_at, tuple(reports))
    return Ended(report, interrupt, (*warnings, *write_outputs(report, folder)))


@dataclass(frozen=True)
class Measured:
    """Runs on one device, at least one."""

    results: list[BenchmarkResult]
    runs: list[Run]


def calibrate(
    bundle: Path, device: Device, settings: GateSettings, *, runs: int, folder: Path, access: DeviceAccess, say: Say
) -> list[Noise]:
    """Compare each network of ``bundle`` with itself in ``count`` runs; returns the noise of each backend.

    Raises as :func:`measure_baseline`.
    """
    first_network = plan_pairing(bundle, None, settings.measure.networks).networks[:1]
    pairing = plan_pairing(bundle, bundle, first_network)
    measured = _measure(device, pairing, settings, runs, folder, access, say)
    subjects: dict[str, list[Subject]] = {}
    for subject in measured.runs[0].candidate:
        subjects.setdefault(subject.setting.backend, []).append(subject)
    first = measured.results[0]
    return [
        Noise(
            device=first.device.hostname,
            backend=backend,
            network=f"{pairing.networks[0]} of {first.manifest.name.removeprefix('gate.')}",
            measured_at=_now(),
            environment=circumstances(first, backend),
            spreads=[record for subject in found for record in spreads(measured.runs, subject)],
        )
        for backend, found in subjects.items()
    ]


def pack_shipped(path: Path) -> Path:
    """Pack the network that ships with the package, for a calibration. Raises OSError."""
    from gdws import datasets, pipeline  # imports torch, which a gate of bundles does not need
    from gdws.bundles.variant import Variant
    from gdws.pipeline.demo import DATA, NETWORKS

    source, data = pipeline.load(NETWORKS[DATA][0]), datasets.load(DATA)
    variants = [Variant(pipeline.BASELINE, source.module)]
    pipeline.pack(path, source, variants, data.test.first(_REPLAYED), f"{data.name}, test", None)
    return path


def measure_baseline(
    bundle: Path, device: Device, settings: GateSettings, *, runs: int, folder: Path, access: DeviceAccess, say: Say
) -> Baseline:
    """Measure ``bundle`` alone in ``count`` runs.

    Raises:
        GdwsError: the bundle cannot be used.
        DeviceError: the agent could not serve.
        OSError: a file cannot be read or written.
    """
    pairing = plan_pairing(bundle, None, settings.measure.networks)
    measured = _measure(device, pairing, settings, runs, folder, access, say)
    evidence = _read_evidence(bundle)
    return make_baseline(bundle.name, _now(), measured.runs, measured.results, network_facts(pairing), evidence)


def _measure(
    device: Device, pairing: Pairing, settings: GateSettings, count: int, folder: Path, access: DeviceAccess, say: Say
) -> Measured:
    session = _session(device, pairing, settings, folder, access, say)

    def work() -> Measured:
        found, consistency = Measured([], []), Consistency()
        with session.held() as measure:
            for number in range(1, count + 1):
                say(f"run {number} of {count}")
                result, run = measure(number)
                changed = consistency.changes(result)
                if changed:
                    named = "; ".join(map(str, changed))
                    raise DeviceError(
                        f"run {number} was measured under other conditions ({named})", url=device.url, hint=_STEADY
                    )
                found.results.append(result)
                found.runs.append(run)
        return found

    [measured], interrupt = run_all([work], [session])
    if interrupt is not None:
        raise interrupt
    return measured


def _gone(pairing: Pairing, kept: Baseline | None, settings: GateSettings) -> list[str]:
    """Networks of the baseline that the candidate lacks; none if the networks were chosen by name."""
    if kept is None or settings.measure.networks is not None:
        return list(pairing.gone)
    return list(dict.fromkeys(entry.network for entry in kept.entries if entry.network not in pairing.networks))


def _remarks(settings: GateSettings, gone: Sequence[str], evidence: Evidence) -> list[str]:
    """Notes that apply to every verdict on these bundles."""
    limits, found = settings.limits, []
    if limits.max_robust_drop_points is not None or limits.min_robust_percent is not None:
        attack = text.attack_settings(evidence.attack)
        found.append(f"robust accuracy is measured on inputs that {attack} made for each network")
    return found + [f"{name} of the baseline may be missing" for name in gone if name in settings.gate.allow_missing]


def _evidence_of_baseline(kept: Baseline | None, beside: Path | None) -> Evidence | None:
    """The baseline's evidence; None without a baseline, or for one of an earlier release without evidence."""
    if beside is not None:
        return _read_evidence(beside)
    return None if kept is None else kept.evidence


def _read_evidence(bundle: Path) -> Evidence:
    with open_bundle(bundle) as opened:
        return evidence_of(opened.manifest)


def _read_baseline(path: Path | None) -> tuple[Baseline | None, Path | None]:
    """A baseline's figures, or the path of its bundle; neither if there is no baseline."""
    if path is None:
        return None, None
    with path.open("rb") as file:
        is_bundle = file.read(2) == b"PK"
    return (None, path) if is_bundle else (load_baseline(path), None)


def _with_kept(networks: Mapping[str, NetworkFacts], kept: Baseline | None) -> dict[str, NetworkFacts]:
    """The facts with the sizes and evaluations of a baseline file."""
    if kept is None:
        return dict(networks)
    return {
        name: replace(
            facts,
            baseline_size_bytes=kept.sizes.get(name),
            evaluations=Evaluations(facts.evaluations.own, kept.evaluations.get(name)),
        )
        for name, facts in networks.items()
    }


def _session(
    device: Device, pairing: Pairing, settings: GateSettings, folder: Path, access: DeviceAccess, say: Say
) -> Session:
    return Session(
        url=device.url,
        token=device.token,
        pairing=pairing,
        request=settings.measure.request(),
        folder=folder,
        say=say,
        access=access,
        note="gdws gate",
    )


def _named(say: Say, device: Device, devices: Sequence[Device]) -> Say:
    """``say`` with the device's name in front, if there are several devices."""
    if len(devices) == 1:
        return say
    return lambda text: say(f"{device.name}: {text}")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
