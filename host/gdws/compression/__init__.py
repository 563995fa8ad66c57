"""From a dense network to a GDWS network: the layer, the surgery, calibration and fitting."""
