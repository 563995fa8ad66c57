// How a job was measured: its protocol, and heat, clocks, power and doubts of each cell.

import { h } from "./dom.js";
import { settingWords } from "./jobs.js";
import * as text from "./text.js";

/** Return what a reader needs to judge and to repeat the job, folded. */
export function detailSections(job, device) {
  const doubts = job.cells.flatMap((cell) => cell.flags.map((flag) => [`${cell.key.variant} at batch ${cell.key.batch_size}`, flag]));
  return h(
    "section",
    { class: "details", "aria-label": "How it was measured" },
    h("h2", {}, "How it was measured"),
    doubts.length === 0 ? null : folded(`Doubts (${doubts.length})`, h("ul", {}, doubts.map(([where, flag]) => h("li", {}, h("strong", {}, `${flag.code}, ${where}: `), flag.detail)))),
    folded("Request and protocol", pairs(requestFacts(job))),
    ...job.cells.map((cell) => folded(cellName(cell), pairs(cellFacts(cell)))),
    h("p", { class: "note" }, `On ${device.board ?? device.hostname}, agent ${device.agent_version}.`),
  );
}

function folded(name, content) {
  return h("details", { "data-key": name }, h("summary", {}, name), content);
}

function pairs(facts) {
  const known = facts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", {}, known.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
}

function requestFacts({ request }) {
  const protocol = Object.entries(request.protocol).map(([name, value]) => [name, value]);
  return [["bundle", request.model_id], ["label", request.label], ["priority", request.priority ?? 0], ["jetson_clocks", request.jetson_clocks], ...protocol];
}

function cellName({ key, state }) {
  return `${key.variant}, ${settingWords({ power_mode: null, ...key }, [], { all: true })}: ${state.replace("_", " ")}`;
}

function cellFacts(cell) {
  const { build, latency, parity, power, thermal, sustained } = cell;
  return [
    ["error", cell.error && [cell.error.detail ?? cell.error.title, cell.error.hint].filter(Boolean).join(" ")],
    ["engine", build && `${build.precision}, built in ${text.significant(build.time_s)} s${build.from_cache ? ", from the cache" : ""}`],
    ["options", build?.options.join(", ")],
    ["parity", parity && `largest logit difference ${text.significant(parity.max_rel_diff)} of the largest logit, tolerance ${text.significant(parity.tolerance_rel)}`],
    ["latency of", latency?.scope],
    ["samples", latency && text.whole(latency.count)],
    ["percentiles", latency?.percentiles_withheld],
    ["power mode", cell.power_mode],
    ["jetson_clocks", cell.jetson_clocks],
    ["power", power && powerWords(power)],
    ["temperatures", thermal?.temperatures.map((zone) => `${zone.name} ${zone.start_c.toFixed(1)} to ${zone.end_c.toFixed(1)} °C`).join("; ")],
    ["clocks", thermal?.clocks.map((clock) => `${clock.name} ${text.whole(clock.mean_mhz)} MHz`).join("; ")],
    ["throttling", thermal?.throttling.join("; ")],
    ["endurance", sustained && `${text.significant(sustained.burst_fps)} FPS at first, ${text.significant(sustained.sustained_fps)} after ${text.whole(sustained.duration_s)} s`],
    ...Object.entries(cell.environment).map(([name, value]) => [name, value !== null && typeof value === "object" ? JSON.stringify(value) : value]),
  ];
}

function powerWords(power) {
  if (power.mean_w === null) return power.reason;
  return `${text.significant(power.mean_w)} W mean, ${text.significant(power.peak_w)} W peak, idle ${text.significant(power.idle_w)} W; ${power.scope ?? ""}`;
}
