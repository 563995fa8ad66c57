"""What is told of the epochs of a training."""

from __future__ import annotations

import pytest

from gdws.cli.options.training import epochs_told
from gdws.training import EpochRecord

#: Those of a WRN-16-2 trained against one step of 1.25 eps on Fashion-MNIST.
OVERFITTED = [(1, 0.686, 0.524), (2, 0.772, 0.657), (3, 0.827, 0.303)]


@pytest.mark.parametrize(
    ("epochs", "warned"),
    [
        (OVERFITTED, 1),
        ([*OVERFITTED, (4, 0.83, 0.2)], 2),
        ([(1, 0.686, 0.524), (2, 0.772, 0.657), (3, 0.6, 0.3)], 0),  # a large rate costs both
        ([(1, 0.686, 0.524), (2, 0.772, 0.657), (3, 0.79, 0.6)], 0),
        ([(1, 0.686, None), (2, 0.772, None)], 0),
    ],
)
def test_robust_accuracy_that_collapses_is_told(
    epochs: list[tuple[int, float, float | None]], warned: int, capsys: pytest.CaptureFixture[str]
):
    tell = epochs_told()
    for epoch, natural, robust in epochs:
        tell(EpochRecord(epoch, 1.0, natural, robust))
    told = capsys.readouterr().err
    assert told.count("validation natural") == len(epochs)
    assert told.count("since epoch 2 robust accuracy collapsed") == warned
