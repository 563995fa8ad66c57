"""The agent's times on the device against those of trtexec, on the same ONNX files."""

from __future__ import annotations

from typing import Dict, List, NamedTuple

from gdws_agent.first_run.bench import Bench, clocks_in_words
from gdws_agent.first_run.network import DENSE, INPUT
from gdws_agent.first_run.report import CheckFailed, CheckSkipped, Figure, Outcome, Table, Value
from gdws_agent.first_run.tools.program import find_program
from gdws_agent.first_run.tools.trtexec import NAME, PLACES, Timing, Trtexec
from gdws_contract.rest import Cell

FORMS = (DENSE, "gather")
#: The agent's timed context gives NVTX no details on layers: it is compared with the first. The second shows what
#: that saves.
QUIET, DETAILED = "none", "detailed"
VERBOSITIES = (QUIET, DETAILED)
#: How far the agent's median may lie from trtexec's, as a share of trtexec's.
TOLERANCE = 0.03
_DURATION_S, _QUICK_DURATION_S = 3.0, 1.0

_COLUMNS = ["form", "verbosity", "waits by", "trtexec ms", "enqueue ms", "agent ms", "difference %"]


class Comparison(NamedTuple):
    """One run of trtexec beside the agent's own figure."""

    form: str
    verbosity: str
    spin: bool
    timing: Timing
    agent_ms: float

    @property
    def difference(self) -> float:
        """How much longer the agent's time is, as a share of trtexec's."""
        return self.agent_ms / self.timing.compute_ms - 1.0

    @property
    def agrees(self) -> bool:
        """Whether both are the same within the tolerance."""
        return abs(self.difference) <= TOLERANCE


def check_trtexec(bench: Bench) -> Outcome:
    """Time a dense and a GDWS form by both, trtexec with each verbosity, spinning and not."""
    if not bench.capabilities().matches_trtexec:
        raise CheckSkipped(f"the best backend here is {bench.backend().name}: there is no TensorRT to compare")
    program = find_program(NAME, bench.trtexec, PLACES)
    if program is None:
        raise CheckSkipped(
            "trtexec is not here",
            f"it comes with JetPack as {PLACES[0]}; copy it into the container and name it with --trtexec: "
            "docker compose cp /usr/src/tensorrt/bin/trtexec agent:/tmp/trtexec",
        )
    trtexec = Trtexec(program, bench.scratch, bench.deadline)
    with bench.fixed_clocks() as state:
        version = trtexec.version()
        cells = bench.measure(FORMS, "fp16", in_force=state)
        compared = _compare(bench, trtexec, _times_of_agent(cells))
    figures = [
        Figure(name="trtexec of TensorRT", value=".".join(map(str, version))),
        Figure(name="clocks", value=clocks_in_words(state)),
        *(Figure(name=f"{form}: options of the agent's engine", value=_options(cell)) for form, cell in cells.items()),
    ]
    tables = [Table(title="GPU compute time, medians", columns=_COLUMNS, rows=[_row(each) for each in compared])]
    log = trtexec.commands
    judged = [each for each in compared if each.verbosity == QUIET]
    worst = max(judged, key=lambda each: abs(each.difference))
    if not worst.agrees:
        raise CheckFailed(
            f"{worst.form}: the agent's time differs by {worst.difference:+.1%} from trtexec's; "
            f"{TOLERANCE:.0%} is allowed",
            *_advice(compared, clocks_fixed=bool(state.jetson_clocks)),
            figures=figures,
            tables=tables,
            log=log,
        )
    return Outcome(
        status="ok",
        summary=f"within {abs(worst.difference):.1%} of trtexec in each of {len(judged)} runs",
        figures=figures,
        tables=tables,
        log=log,
    )


def _compare(bench: Bench, trtexec: Trtexec, agent_ms: Dict[str, float]) -> List[Comparison]:
    """Time each form by trtexec, on an engine that it builds of the same ONNX file.

    All of its runs use the same engines, so that they do not differ by the choice of kernels.
    """
    shape = f"{INPUT}:1x{'x'.join(map(str, bench.image_shape))}"
    duration_s = _QUICK_DURATION_S if bench.quick else _DURATION_S
    compared: List[Comparison] = []
    for form in FORMS:
        model = bench.scratch / f"{form}.onnx"
        model.write_bytes(bench.models[form])
        engine = trtexec.build(model, shape)
        for verbosity in VERBOSITIES:
            for spin in (False, True):
                timing = trtexec.time(engine, shape, verbosity=verbosity, spin=spin, duration_s=duration_s)
                compared.append(Comparison(form, verbosity, spin, timing, agent_ms[form]))
    return compared


def _times_of_agent(cells: Dict[str, Cell]) -> Dict[str, float]:
    without = [form for form, cell in cells.items() if cell.device_latency is None]
    if without:
        raise CheckFailed(
            f"the agent has no times on the device for {', '.join(without)}",
            "attach this report to an issue: the tensorrt backend takes them from CUDA events",
        )
    return {form: cell.device_latency.compute.median_ms for form, cell in cells.items() if cell.device_latency}


def _options(cell: Cell) -> Value:
    return None if cell.build is None else ", ".join(cell.build.options)


def _advice(compared: List[Comparison], clocks_fixed: bool) -> List[str]:
    """Return what the pattern of the differences suggests."""
    found: List[str] = []
    if not clocks_fixed:
        found.append(
            "the clocks were not fixed: let jtop set them (check `clocks`), or `sudo jetson_clocks`, and repeat"
        )
    judged = [each for each in compared if each.verbosity == QUIET]
    if not any(each.agrees for each in judged) and all(each.agrees for each in compared if each not in judged):
        found.append(
            "the agent agrees with detailed verbosity alone: its timed context lets each layer be told to NVTX, "
            "which slows networks of many layers most"
        )
    by_wait = {spin: all(each.agrees for each in judged if each.spin == spin) for spin in (True, False)}
    if by_wait[True] != by_wait[False]:
        found.append("it depends on how the host waits for the GPU: compare the scheduling in the check `stack`")
    off = {each.form for each in judged if not each.agrees}
    if len(off) == 1:
        found.append(f"{off.pop()} alone differs: builders choose kernels by timing; repeat, and compare more builds")
    found.append("attach this report to an issue: its log has the command lines of trtexec")
    return found


def _row(each: Comparison) -> List[Value]:
    return [
        each.form,
        each.verbosity,
        "spinning" if each.spin else "not spinning",
        each.timing.compute_ms,
        each.timing.enqueue_ms,
        each.agent_ms,
        100.0 * each.difference,
    ]
