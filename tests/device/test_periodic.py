import threading
import time

from gdws_agent.periodic import Periodic


class Task:
    """Notes when it is called; ``after`` so many calls it tells."""

    def __init__(self, after, takes_s=0.0, error=None):
        self.times_s = []
        self.done = threading.Event()
        self._after = after
        self._takes_s = takes_s
        self._error = error

    def __call__(self):
        self.times_s.append(time.monotonic())
        if len(self.times_s) >= self._after:
            self.done.set()
        if self._takes_s:
            time.sleep(self._takes_s)
        if self._error is not None:
            raise self._error


def run(task, interval_s):
    periodic = Periodic(task, interval_s, "test")
    periodic.start()
    assert task.done.wait(60)
    periodic.stop()
    return periodic


def test_it_repeats_until_stopped_and_not_faster_than_asked():
    task = Task(after=4)
    periodic = run(task, 0.02)
    calls = len(task.times_s)
    assert periodic.fault is None
    assert task.times_s[3] - task.times_s[0] >= 3 * 0.02 - 0.001
    assert len(task.times_s) == calls


def test_the_first_call_comes_at_once():
    began = time.monotonic()
    task = Task(after=1)
    run(task, 3600)
    assert len(task.times_s) == 1
    assert task.times_s[0] - began < 60


def test_missed_calls_are_left_out():
    task = Task(after=3, takes_s=0.05)
    run(task, 0.02)
    gaps = [after - before for before, after in zip(task.times_s, task.times_s[1:])]
    assert min(gaps) >= 0.05


def test_an_error_is_kept_and_the_next_call_comes():
    task = Task(after=3, error=OSError("gone"))
    periodic = run(task, 0.001)
    assert len(task.times_s) >= 3
    assert str(periodic.fault) == "gone"


def test_stopping_ends_a_long_wait():
    task = Task(after=1)
    periodic = Periodic(task, 3600, "test")
    periodic.start()
    assert task.done.wait(60)
    periodic.stop()  # returns at once, or the test runs into its timeout
