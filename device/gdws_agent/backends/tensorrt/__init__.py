"""TensorRT: engines from its own builder."""
