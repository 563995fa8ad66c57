"""A task in words."""

from __future__ import annotations

from gdws_contract.task import Detection, Outputs, Task

#: Names of classes that are told.
_SHOWN = 20


def in_words(task: Task) -> str:
    """What the outputs mean, and the names of the classes where they are known."""
    words = task.kind if not isinstance(task, Detection) else f"{task.kind} ({task.layout})"
    if isinstance(task, Outputs) or task.classes is None:
        return words
    names = ", ".join(task.classes[:_SHOWN]) + (", …" if len(task.classes) > _SHOWN else "")
    return f"{words}; classes: {names} ({len(task.classes)})"
