"""torch2trt: engines by way of a torch module."""
