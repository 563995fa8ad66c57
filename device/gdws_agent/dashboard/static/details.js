// How a job was measured: its protocol, and heat, clocks, power and doubts of each cell.

import { h } from "./dom.js";
import { settingOf, settingWords } from "./jobs.js";
import * as text from "./text.js";

/** Return what a reader needs to judge and to repeat the job, folded. */
export function detailSections(job, device) {
  const doubts = job.cells.flatMap((cell) =>
    cell.flags.map((flag) => [`${cell.key.variant} at batch ${cell.key.batch_size}`, flag]),
  );
  return h(
    "section",
    { class: "details", "aria-label": "How it was measured" },
    h("h2", {}, "How it was measured"),
    doubts.length === 0
      ? null
      : folded(
          `Doubts (${doubts.length})`,
          h(
            "ul",
            {},
            doubts.map(([where, flag]) => h("li", {}, h("strong", {}, `${flag.code}, ${where}: `), flag.detail)),
          ),
        ),
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
  return h(
    "dl",
    {},
    known.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]),
  );
}

function requestFacts({ request }) {
  const protocol = Object.entries(request.protocol).map(([name, value]) => [name, value]);
  return [
    ["bundle", request.model_id],
    ["label", request.label],
    ["priority", request.priority ?? 0],
    ["jetson_clocks", request.jetson_clocks],
    ["arrivals by a clock", plain(request.pacing ?? null)],
    ...protocol,
  ];
}

function cellName({ key, state }) {
  return `${key.variant}, ${settingWords(settingOf(key), [], { all: true })}: ${state.replace("_", " ")}`;
}

function cellFacts(cell) {
  const { error, latency, thermal } = cell;
  return [
    ["error", error && [error.detail ?? error.title, error.hint].filter(Boolean).join(" ")],
    ["engine", engineWords(cell.build)],
    ["options", cell.build?.options.join(", ")],
    ["parity", parityWords(cell.parity)],
    ["latency of", latency?.scope],
    ["samples", latency && text.whole(latency.count)],
    ["percentiles", latency?.percentiles_withheld],
    ["power mode", cell.power_mode],
    ["jetson_clocks", cell.jetson_clocks],
    ["power", powerWords(cell.power)],
    ["temperatures", thermal?.temperatures.map(zoneWords).join("; ")],
    ["clocks", thermal?.clocks.map((clock) => `${clock.name} ${text.whole(clock.mean_mhz)} MHz`).join("; ")],
    ["throttling", thermal?.throttling.join("; ")],
    ["deadlines", deadlineWords(cell.paced?.run)],
    ["highest rate", highestRateWords(cell.paced?.highest_rate)],
    ["endurance", enduranceWords(cell.sustained)],
    ["memory", memoryWords(cell.memory)],
    ...Object.entries(cell.environment).map(([name, value]) => [name, plain(value)]),
  ];
}

function engineWords(build) {
  if (!build) return null;
  const source = build.from_cache ? ", from the cache" : "";
  return `${build.precision}, built in ${text.significant(build.time_s)} s${source}`;
}

function parityWords(parity) {
  if (!parity) return null;
  const [largest, tolerance] = [parity.max_rel_diff, parity.tolerance_rel].map((value) => text.significant(value));
  const each = parity.outputs.map(outputWords);
  return [`largest difference ${largest} of the largest output, tolerance ${tolerance}`, ...each].join("; ");
}

function outputWords({ name, max_rel_diff, agreement }) {
  if (agreement !== null) return `${name}: ${agreement.successes}/${agreement.count} equal`;
  return `${name}: ${text.significant(max_rel_diff)}`;
}

function powerWords(power) {
  if (!power || power.mean_w === null) return power?.reason;
  const [mean, peak, idle] = [power.mean_w, power.peak_w, power.idle_w].map((watts) => `${text.significant(watts)} W`);
  return `${mean} mean, ${peak} peak, ${idle} idle; ${power.scope ?? "scope unknown"}`;
}

function zoneWords({ name, start_c, end_c }) {
  return `${name} ${start_c.toFixed(1)} to ${end_c.toFixed(1)} °C`;
}

function enduranceWords(sustained) {
  if (!sustained) return null;
  const [first, last] = [sustained.burst_fps, sustained.sustained_fps].map((fps) => `${text.significant(fps)} FPS`);
  return `${first} at first, ${last} after ${text.whole(sustained.duration_s)} s`;
}

function deadlineWords(run) {
  if (!run) return null;
  const { missed, bursts, latency } = run;
  const rate = run.rate_hz === null ? "" : ` at ${text.significant(run.rate_hz)} Hz`;
  const share = `${text.significant(100 * missed.value)} %`;
  return [
    `${text.whole(missed.successes)} of ${text.whole(run.arrivals)} arrivals${rate} missed ${text.milliseconds(run.deadline_ms)} (${share})`,
    missed.successes === 0 ? null : `${text.whole(bursts.longest)} in a row at most`,
    latency && `latency ${text.milliseconds(latency.median_ms)} median, ${text.milliseconds(latency.p99_ms)} p99`,
    run.p999_ms === null ? run.withheld : `${text.milliseconds(run.p999_ms)} p99.9`,
    run.jitter && `generator late by ${text.milliseconds(run.jitter.p99_ms ?? run.jitter.max_ms)} ${run.jitter.p99_ms === null ? "at most" : "p99"}`,
  ]
    .filter(Boolean)
    .join("; ");
}

function highestRateWords(found) {
  if (!found) return null;
  const held = found.rate_hz === null ? "none that was tried" : `${text.significant(found.rate_hz)} Hz sustained`;
  const missed = found.missed_hz === null ? null : `${text.significant(found.missed_hz)} Hz not`;
  return [held, missed, `in ${text.plural(found.runs, "run")}`, found.reason].filter(Boolean).join(", ");
}

function memoryWords(memory) {
  if (!memory) return null;
  const device = memory.device_peak_bytes === null ? memory.device_reason : text.bytes(memory.device_peak_bytes);
  const host = memory.host_peak_bytes === null ? memory.host_reason : text.bytes(memory.host_peak_bytes);
  return `host ${host} at most; device: ${device}`;
}

function plain(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : value;
}
