"""Reports over many devices: which network is how fast where, equal boards that differ, devices set aside."""

from __future__ import annotations

from gdws.results.report.fleet.values import FleetMeasurement, SetAside
from gdws.results.report.fleet.write import FORMATS, render_fleet_report, write_fleet_report

__all__ = ["FORMATS", "FleetMeasurement", "SetAside", "render_fleet_report", "write_fleet_report"]
