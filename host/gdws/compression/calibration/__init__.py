"""What calibration images tell of a network: alphas, margins, norms of gradients."""
