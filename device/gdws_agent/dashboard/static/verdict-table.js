// The figures of a result: one table a setting, one row a network. What was not measured is a dash or says why.

import { h } from "./dom.js";
import { settingWords } from "./jobs.js";
import { cell, sub, table } from "./table.js";
import { SPEED_CLASS } from "./speed.js";
import * as text from "./text.js";

const SIZES = ["Network", "MACs", "Parameters"];
const ACCURACIES = ["Natural", "Robust"];
const TIMES = ["On the device", "Median", "p95", "p99", "FPS", "Speed-up"];

/** Return the tables of all settings of `job`. */
export function verdictTables(job, facts) {
  return facts.settings.map((setting) => settingTable(facts, setting)).filter(Boolean);
}

function settingTable(facts, setting) {
  const measured = facts.at(setting);
  if (measured.every((each) => each.cell === null)) return null;
  const hasEnergy = measured.some(({ cell: each }) => (each?.power?.energy_per_inference_mj ?? null) !== null);
  const words = settingWords(setting, facts.settings, { all: true });
  return h(
    "section",
    { "data-key": JSON.stringify(setting) },
    h("h2", {}, words[0].toUpperCase() + words.slice(1)),
    table({
      kind: "figures stacks",
      caption: `Size, ${facts.leading.length > 0 ? "quality" : "accuracy"} and speed of each network at ${words}`,
      heads: [...SIZES, ...qualityHeads(facts), ...TIMES, ...(hasEnergy ? ["Energy"] : [])],
      rows: measured.map((each) => row(each, facts, hasEnergy)),
    }),
    sensorNote(measured),
  );
}

/** The metrics of the task, or accuracies of a classifier. */
function qualityHeads({ leading }) {
  return leading.length > 0 ? leading.map(({ title }) => title) : ACCURACIES;
}

function qualityCells(facts, about) {
  if (facts.leading.length > 0) {
    const heads = qualityHeads(facts);
    return facts.leading.map(({ name }, index) => cell(heads[index], ...metric(about.metrics.get(name))));
  }
  return [
    cell("Natural", ...natural(about)),
    cell(
      "Robust",
      ...accuracy(about.robust, about.robustChange, about.attack),
      sub(about.untrusted ? "not to be trusted" : null),
    ),
  ];
}

function metric(found) {
  if (!found) return [text.UNKNOWN];
  const change = found.change === null ? null : `${text.points(found.change.points)} points`;
  return [found.shown, sub([change, found.interval].filter(Boolean).join(", ") || null)];
}

function row({ variant, isBaseline, cell: measured, found }, facts, hasEnergy) {
  const about = facts.variants.get(variant);
  return h(
    "tr",
    { class: isBaseline ? "baseline" : null, "data-key": variant },
    h(
      "th",
      { scope: "row" },
      variant,
      measured?.simulated ? h("span", { class: "mark" }, "simulated") : null,
      sub(about.method),
      measured?.flags.length > 0
        ? h("span", { class: "sub flag" }, `⚑ ${text.listed(measured.flags.map((flag) => flag.code))}`)
        : null,
    ),
    cell("MACs", text.scaled(about.macs), sub(fewer(about.macsRatio))),
    cell("Parameters", text.scaled(about.parameters)),
    ...qualityCells(facts, about),
    cell("On the device", ...replay(measured?.parity ?? null)),
    ...(measured?.latency
      ? times(measured, found, hasEnergy)
      : [h("td", { class: "reason", colspan: hasEnergy ? 6 : 5, "data-head": "Times" }, found.reason)]),
  );
}

function times({ latency, fps, speedup, power, key }, found, hasEnergy) {
  return [
    cell("Median", text.milliseconds(latency.median_ms)),
    cell("p95", text.milliseconds(latency.p95_ms)),
    cell("p99", text.milliseconds(latency.p99_ms)),
    cell("FPS", text.significant(fps)),
    cell("Speed-up", ...speed(speedup, found.speed)),
    hasEnergy ? cell("Energy", ...energy(power, key)) : null,
  ];
}

function speed(speedup, found) {
  if (!speedup) return [text.UNKNOWN];
  return [
    h("strong", { class: SPEED_CLASS[found] ?? "" }, text.ratio(speedup.ratio)),
    sub(speedup.interval ? text.ratioInterval(speedup.interval) : null),
  ];
}

function natural({ natural: share, naturalChange, agreement }) {
  if (agreement !== null) return [text.percent(agreement.value), sub("as the baseline")];
  return accuracy(share, naturalChange);
}

function accuracy(proportion, change, attack = null) {
  if (proportion === null) return [text.UNKNOWN];
  const under = attack === null ? null : text.attackName(attack);
  const difference = change === null ? null : `${text.points(change.points)} points`;
  return [text.percent(proportion.value), sub([difference, under].filter(Boolean).join(", ") || null)];
}

/** The verification set replayed on the device: natural and adversarial inputs. */
function replay(parity) {
  if (parity === null) return [text.UNKNOWN];
  const of = (proportion) => `${proportion.successes}/${proportion.count}`;
  const words = [
    parity.natural ? `natural ${of(parity.natural)}` : null,
    parity.robust ? `robust ${of(parity.robust)}` : null,
  ].filter(Boolean);
  return [
    h("span", { class: parity.passed ? "better" : "bad" }, parity.passed ? "parity passed" : "parity failed"),
    words.map(sub),
  ];
}

function energy(power, { batch_size }) {
  const energy_mj = power?.energy_per_inference_mj ?? null;
  if (energy_mj === null) return [text.UNKNOWN];
  const watts = `${text.significant(power.mean_w)} W`;
  return [`${text.significant(energy_mj)} mJ`, sub(batch_size > 1 ? `for ${batch_size} images, ${watts}` : watts)];
}

/** Which sensor gave the energy, or why there is none. */
function sensorNote(measured) {
  const powers = measured.map((each) => each.cell?.power).filter(Boolean);
  const scopes = powers
    .filter((power) => power.mean_w !== null)
    .map((power) => `Energy: ${power.scope ?? "scope unknown"}, by ${power.sensor}.`);
  const reasons = powers
    .filter((power) => power.mean_w === null && power.reason)
    .map((power) => `No energy: ${power.reason}.`);
  const words = [...new Set([...scopes, ...reasons])];
  return words.length === 0 ? null : h("p", { class: "note" }, words.join(" "));
}

function fewer(denseOverThis) {
  if (denseOverThis === null) return null;
  return denseOverThis >= 1 ? `${text.ratio(denseOverThis)} fewer` : `${text.ratio(1 / denseOverThis)} more`;
}
