"""Where networks come from: the zoo, checkpoints, Python modules, ONNX files, saved GDWS networks."""
