"""Bundles: packing networks for a device, and describing a bundle."""
