"""Adversarial training, and fine-tuning after conversion, with model selection on a validation split.

Two habits make a run repeatable and resumable. Every random draw has a seed of its own, derived from the run's seed and
the epoch; and the learning rate is a function of the step. So a run that was killed and resumed ends with the weights
of an unbroken one.
"""

from gdws.training.augmentation import flip_images, shift_images
from gdws.training.balancing import balance
from gdws.training.distillation import DistillSettings, distill
from gdws.training.fresh import TrainResult, fresh, train
from gdws.training.int8_tuning import finetune_int8
from gdws.training.pruning import Pruning
from gdws.training.run import EpochRecord, state_path
from gdws.training.schedule import learning_rate
from gdws.training.settings import PRESETS, FinetuneSettings, Preset, TrainSettings
from gdws.training.tuning import FinetuneResult, finetune

__all__ = [
    "PRESETS",
    "DistillSettings",
    "EpochRecord",
    "FinetuneResult",
    "FinetuneSettings",
    "Preset",
    "Pruning",
    "TrainResult",
    "TrainSettings",
    "balance",
    "distill",
    "finetune",
    "finetune_int8",
    "flip_images",
    "fresh",
    "learning_rate",
    "shift_images",
    "state_path",
    "train",
]
