"""Sources of networks: the zoo, checkpoints, Python modules, ONNX files, saved GDWS networks."""
