"""Statistics of a network on calibration images: alphas, margins, gradient norms."""
