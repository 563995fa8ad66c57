"""To ONNX and from ONNX."""
