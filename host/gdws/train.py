"""Adversarial training; see :mod:`gdws.training`."""

from gdws.training import EpochRecord, TrainResult, TrainSettings, learning_rate, shift_images, state_path, train

__all__ = ["EpochRecord", "TrainResult", "TrainSettings", "learning_rate", "shift_images", "state_path", "train"]
