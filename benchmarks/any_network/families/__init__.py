"""One network of each family that pytorchcv has, with random weights: does conversion hold up?"""
