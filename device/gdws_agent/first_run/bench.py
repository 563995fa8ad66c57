"""What the checks of a first run work with: the machine, the network, and workers that measure it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from functools import cached_property, partial
from pathlib import Path
from typing import Callable, ContextManager, Dict, Iterator, List, Mapping, Optional, Sequence, Set

from gdws_agent.backends import registry
from gdws_agent.backends.base import Capabilities
from gdws_agent.board import jtop_clocks
from gdws_agent.board.clocks import ClockControl, Clocks, ClockState
from gdws_agent.device_info import read_board, read_l4t
from gdws_agent.doctor import is_jetson
from gdws_agent.errors import ClocksError
from gdws_agent.jobs.interrupt import Interrupt
from gdws_agent.jobs.runner import WORKER_COMMAND, run_group
from gdws_agent.measuring.messages import CellEvent, Event, WorkOrder
from gdws_agent.probes import Probes, system_probes
from gdws_agent.settings import Settings
from gdws_contract.engines import EngineOptions
from gdws_contract.profiles import ProfileOptions
from gdws_contract.rest import Availability, Cell, Protocol

from .bundle import write_first_run_bundle
from .deadline import Deadline
from .network import Shape
from .report import CheckFailed, CheckSkipped

#: What asks the CUDA driver and TensorRT about the GPU.
CUDA_COMMAND = (sys.executable, "-m", "gdws_agent.first_run.tools.cuda")

_QUICK_SHAPE = Shape(image_size=32)


class Bench:
    """One machine during one run, whose results lie in ``folder``. Checks run one after the other.

    What the arguments stand in for is looked for on the machine where they are left out.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        quick: bool = False,
        shape: Optional[Shape] = None,
        root: Path = Path("/"),
        environment: Mapping[str, str] = os.environ,
        probes: Optional[Probes] = None,
        connect_clocks: Optional[Callable[[], ContextManager[ClockControl]]] = None,
        worker_command: Sequence[str] = WORKER_COMMAND,
        cuda_command: Sequence[str] = CUDA_COMMAND,
        trtexec: Optional[Path] = None,
        tegrastats: Optional[Path] = None,
    ) -> None:
        self.settings = settings
        self._folder = folder
        self.quick = quick
        self.root = root
        self.environment = environment
        self.trtexec = trtexec
        self.tegrastats = tegrastats
        self.probes = probes or system_probes(settings.jtop_socket)
        self.connect_clocks = connect_clocks or partial(jtop_clocks.connect, settings.jtop_socket)
        self.clocks = Clocks(self.connect_clocks, _clock_record(settings, folder))
        self.deadline = Deadline(0.0)
        #: What is held until the end of the run.
        self.held = contextlib.ExitStack()
        #: Versions that were read here: four numbers, but no addresses.
        self.versions: Set[str] = set()
        self._shape = shape or (_QUICK_SHAPE if quick else Shape())
        self.cuda_command = cuda_command
        self._worker_command = worker_command

    @cached_property
    def scratch(self) -> Path:
        """A new folder for what ends with the run, the bundle and the engines; no folder that is there already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="scratch-", dir=str(self._folder)))

    def remove_scratch(self) -> None:
        """Remove the folder for what ends with the run, where there is one."""
        if "scratch" in vars(self):
            shutil.rmtree(str(self.scratch), ignore_errors=True)

    @cached_property
    def on_jetson(self) -> bool:
        """Whether this machine is a Jetson, or stands in for one."""
        return is_jetson(self.root)

    @cached_property
    def l4t(self) -> Optional[str]:
        """The release of Linux for Tegra."""
        return read_l4t(self.root)

    @cached_property
    def board(self) -> Optional[str]:
        """The name of the Jetson."""
        return read_board(self.root)

    def simulated(self) -> bool:
        """Return whether the board, or a part of it, is simulated."""
        return self.settings.simulated or self.probes.simulated()

    @cached_property
    def models(self) -> Dict[str, bytes]:
        """The ONNX file of each form of the network; the bundle is written with the first look at them."""
        return write_first_run_bundle(self.bundle_path, self._shape)

    @property
    def bundle_path(self) -> Path:
        """Where the bundle of the network lies, once :attr:`models` was looked at."""
        return self.scratch / "first-run.gdws"

    @property
    def cache_dir(self) -> Path:
        """Where engines of this run are kept."""
        return self.scratch / "cache"

    @property
    def image_shape(self) -> Sequence[int]:
        """The shape (C, H, W) of the network's images."""
        return self._shape.input_shape

    def backend(self) -> Availability:
        """Return the best backend that can be used here.

        Raises:
            CheckSkipped: there is none.
        """
        found = next((each for each in self.probes.backends() if each.available), None)
        if found is None:
            raise CheckSkipped("no backend can be used here", "see what the start-up check says of each backend")
        return found

    def capabilities(self) -> Capabilities:
        """Return what the best backend's engines may have. Raises CheckSkipped: there is none."""
        return registry.get(self.backend().name).capabilities

    def precision(self, wanted: str) -> str:
        """Return ``wanted`` where the best backend has it, else fp32."""
        return wanted if wanted in self.backend().precisions else "fp32"

    def protocol(self, **changes: float) -> Protocol:
        """Return how cells are measured: as always, or for a quick run for a fifth of that time."""
        fields = {"min_duration_ms": 600.0, "rounds": 4, "min_iterations": 20, "warmup_max_ms": 1_000.0}
        return Protocol.model_validate({**(fields if self.quick else {}), **changes})

    def measure(
        self,
        variants: Sequence[str],
        precision: str,
        *,
        protocol: Optional[Protocol] = None,
        profile: Optional[ProfileOptions] = None,
        power_sensor: str = "none",
        in_force: Optional[ClockState] = None,
    ) -> Dict[str, Cell]:
        """Return the cell of each variant, measured at batch size 1 by a worker of its own.

        Raises:
            CheckFailed: the worker was not done in time, or died; or a cell has no result, with the cell's own reason.
            CheckSkipped: there is no backend.
        """
        self.models  # noqa: B018 - writes the bundle
        order = WorkOrder(
            job_id="first-run",
            bundle_path=str(self.bundle_path),
            cache_dir=str(self.cache_dir),
            backend=self.backend().name,
            precision=precision,
            batch_size=1,
            batch_sizes=[1],
            variants=list(variants),
            protocol=protocol or self.protocol(),
            engine=EngineOptions(),
            profile=profile,
            power_sensor=power_sensor,
            power_mode_name=None if in_force is None else in_force.power_mode,
            jetson_clocks=None if in_force is None else in_force.jetson_clocks,
        )
        cells = self._run_worker(order)
        problems = [f"{name}: {_problem_of(cell)}" for name, cell in cells.items() if cell.state != "done"]
        if problems:
            hints = [cell.error.hint for cell in cells.values() if cell.error is not None and cell.error.hint]
            raise CheckFailed(f"{precision}, {'; '.join(problems)}", *dict.fromkeys(hints))
        return cells

    def _run_worker(self, order: WorkOrder) -> Dict[str, Cell]:
        cells: Dict[str, Cell] = {}

        def keep(event: Event) -> None:
            if isinstance(event, CellEvent):
                cells[event.cell.key.variant] = event.cell

        ending = run_group(self._worker_command, order, self._worker_settings(), Interrupt(self.deadline.left_s), keep)
        if ending.kind == "interrupted":
            raise CheckFailed(
                f"the measurement was not done within the {self.deadline.limit_s:g} s of this check",
                "close what else runs on the board; an engine can take minutes to build in a low power mode",
            )
        if ending.kind != "completed":
            raise CheckFailed(f"the measuring process failed: {ending.detail}", *filter(None, [ending.hint]))
        return {name: cells[name] for name in order.variants}

    def _worker_settings(self) -> Settings:
        """Return the settings with a data folder of this run's own.

        The agent's may be missing, or closed to this user; and an agent that starts meanwhile empties what is in it.
        """
        return self.settings.model_copy(update={"data_dir": self.scratch})

    @contextlib.contextmanager
    def fixed_clocks(self) -> Iterator[ClockState]:
        """Fix the clocks in the present power mode within, where that can be done; give them back in any case.

        Yields the state in force, unknown where clocks cannot be fixed. Raises ClocksError when they cannot be
        given back.
        """
        try:
            yield self._fixed()
        finally:
            if self.clocks.is_taken():
                self.clocks.restore()

    def _fixed(self) -> ClockState:
        try:
            return self.clocks.take(None, True, give_up=self.deadline.passed)
        except ClocksError:
            return ClockState()


def clocks_in_words(state: ClockState) -> str:
    """Return the state in force while something was measured."""
    if state.jetson_clocks is None:
        return "not fixed: they cannot be set here"
    mode = "" if state.power_mode is None else f" in power mode {state.power_mode}"
    return f"fixed{mode}" if state.jetson_clocks else f"not fixed{mode}"


def _problem_of(cell: Cell) -> str:
    if cell.error is not None:
        return f"{cell.error.title}: {cell.error.detail}"
    reasons: List[str] = [] if cell.parity is None else cell.parity.reasons
    return f"does not compute what the network computes: {'; '.join(reasons)}"


def _clock_record(settings: Settings, folder: Path) -> Path:
    """Return where the former power mode and clocks are recorded: where the agent looks at its next start.

    So what a first run that was killed could not give back, the agent does. Where its folder is not to be had, the
    record lies with the results.
    """
    kept = settings.data_dir if os.access(str(settings.data_dir), os.W_OK) else folder
    return kept / "clocks.json"
