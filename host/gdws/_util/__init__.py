"""Internal helpers for any subpackage."""
