"""Bundles: packing networks for a device, and what is in one."""
