"""Evaluation of a split without images says which it is."""

from __future__ import annotations

import pytest
import torch

from gdws import pipeline
from gdws.bundles.variant import Variant
from gdws.datasets import Split
from gdws.errors import DataError
from gdws.evaluation.tasks import Outputs
from support.networks import SmallResNet, seeded

EMPTY = Split(torch.zeros(0, 3, 8, 8), torch.zeros(0, dtype=torch.int64), absent="crops leaves no images to test with")


@pytest.mark.parametrize("task", [None, Outputs()])
def test_an_evaluation_without_images_names_the_empty_split(task):
    variants = [Variant("dense", seeded(SmallResNet))]
    with pytest.raises(DataError, match="crops leaves no images to test with"):
        pipeline.evaluate_all(variants, EMPTY, "crops, test", None, task=task)
