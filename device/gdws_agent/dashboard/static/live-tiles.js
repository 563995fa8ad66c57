// Power, temperature, clocks and load of the device right now. What is not shown says why.

import { h } from "./dom.js";
import { fastest, hottest } from "./live-history.js";
import { sparkline } from "./sparkline.js";
import * as text from "./text.js";

/** Return the tiles for `readings`. `running`: the job that is measured now, whose last cell may know the power. */
export function liveTiles(readings, history, running) {
  return h(
    "div",
    { class: "tiles" },
    powerTile(readings.power, history, lastPower(running)),
    temperatureTile(readings, history),
    clockTile(readings, history),
    loadTile(readings, history),
  );
}

function powerTile(power, history, measured) {
  if (power.total_w !== null) {
    const parts =
      power.rails.length > 1 ? power.rails.map((rail) => [rail.name, `${text.significant(rail.power_w)} W`]) : [];
    return tile("Power", text.significant(power.total_w), "W", history.series("power"), { note: power.scope, parts });
  }
  if (measured !== null) {
    const note = `mean of the last cell, by ${measured.sensor}; between cells: ${power.reason}`;
    return tile("Power", text.significant(measured.mean_w), "W", [], { note });
  }
  return tile("Power", text.UNKNOWN, "", [], { note: power.reason });
}

function temperatureTile({ temperatures, temperatures_reason, held_back }, history) {
  const top = hottest(temperatures);
  if (top === null) return tile("Temperature", text.UNKNOWN, "", [], { note: temperatures_reason });
  const parts = temperatures.map((zone) => [zone.name, `${zone.celsius.toFixed(1)} °C`]);
  const warning = held_back.length > 0 ? `Held back against heat: ${text.listed(held_back)}` : null;
  return tile("Temperature", top.celsius.toFixed(1), "°C", history.series("temperature"), {
    note: `hottest: ${top.name}`,
    parts,
    warning,
  });
}

function clockTile({ clocks, clocks_reason }, history) {
  const first = fastest(clocks);
  if (first === null) return tile("Clocks", text.UNKNOWN, "", [], { note: clocks_reason });
  const parts = clocks.map((clock) => [clock.name, clockWords(clock)]);
  return tile("Clocks", text.whole(first.mhz), "MHz", history.series("clock"), { note: first.name, parts });
}

function clockWords({ mhz, limit_mhz }) {
  return limit_mhz === null ? `${text.whole(mhz)} MHz` : `${text.whole(mhz)} of ${text.whole(limit_mhz)} MHz`;
}

function loadTile(readings, history) {
  const free = text.bytes(readings.memory_available_bytes);
  const note = `load average over one minute; ${free} of memory free`;
  return tile("Load", text.significant(readings.load_average_1min), "", history.series("load"), { note });
}

function tile(name, value, unit, series, { note = null, parts = [], warning = null }) {
  return h(
    "section",
    { class: "tile", "data-key": name },
    h("h3", {}, name),
    h(
      "p",
      { class: value === text.UNKNOWN ? "figure unknown" : "figure" },
      value,
      unit === "" ? null : h("span", { class: "unit" }, ` ${unit}`),
    ),
    sparkline(series, `${name} over the last minutes`, unit),
    warning === null ? null : h("p", { class: "warning" }, warning),
    note === null ? null : h("p", { class: "note" }, note),
    parts.length === 0
      ? null
      : h(
          "details",
          {},
          h("summary", {}, text.plural(parts.length, "reading")),
          h(
            "dl",
            {},
            parts.map(([label, words]) => [h("dt", {}, label), h("dd", {}, words)]),
          ),
        ),
  );
}

/** The power of the last cell that has one; null without a job or a sensor. */
function lastPower(job) {
  const known = (job?.cells ?? []).filter((cell) => (cell.power?.mean_w ?? null) !== null);
  return known.length > 0 ? known.at(-1).power : null;
}
