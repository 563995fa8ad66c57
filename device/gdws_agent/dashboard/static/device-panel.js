// What the device is, and what it can measure with.

import { h } from "./dom.js";
import { sub } from "./table.js";
import * as text from "./text.js";

/** The agent's word for measuring without a sensor. */
const NO_SENSOR = "none";

/** Return the facts about the device. */
export function devicePanel(device) {
  const cores = `${text.whole(device.physical_cores)} cores, ${text.whole(device.logical_cores)} threads`;
  const facts = [
    ["Board", device.board ?? "not a Jetson"],
    ["L4T", device.l4t ?? text.UNKNOWN],
    ["Processor", `${device.cpu_model ?? text.UNKNOWN} (${device.machine}), ${cores}`],
    ["Memory", text.bytes(device.memory_total_bytes)],
    ["System", `${device.os}, kernel ${device.kernel}`],
    ["Agent", `${device.agent_version}, Python ${device.python}`],
  ];
  return h(
    "div",
    { class: "card" },
    h(
      "dl",
      {},
      facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
    availability("Backends", device.backends),
    availability(
      "Power sensors",
      device.power_sensors.filter((sensor) => sensor.name !== NO_SENSOR),
    ),
  );
}

/** Return the name of the device for headings. */
export function deviceName(device) {
  return device.board ?? device.hostname;
}

function availability(name, items) {
  const missing = items.filter((item) => !item.available);
  const there = items.filter((item) => item.available);
  return h(
    "section",
    {},
    h("h3", {}, name),
    there.length === 0
      ? h("p", { class: "note" }, "None can be used here.")
      : h(
          "ul",
          { class: "checks" },
          there.map((item) => entry(item, "yes")),
        ),
    missing.length === 0
      ? null
      : h(
          "details",
          {},
          h("summary", {}, `${missing.length} not available`),
          h(
            "ul",
            { class: "checks" },
            missing.map((item) => entry(item, "no")),
          ),
        ),
  );
}

function entry(item, kind) {
  return h(
    "li",
    { class: kind },
    h("strong", {}, item.name),
    item.version ? ` ${item.version}` : null,
    sub(item.precisions.join(", ")),
    sub(item.reason),
  );
}
