// What engines withstood, of a job that attacked them.

import { h } from "./dom.js";
import { keyOf, settingWords } from "./jobs.js";
import { cell, sub, table } from "./table.js";
import * as text from "./text.js";

/** Return the findings in words and a table for each setting of `facts`. */
export function attackSection(job, facts) {
  const found = new Map(facts.attacks.map((each) => [keyOf(each.key), each]));
  const sentences = facts.attacks.flatMap((each) => each.sentences);
  return [
    h(
      "section",
      { class: "verdicts", "aria-label": "Findings" },
      h("p", { class: "verdict unknown" }, h("strong", {}, "Attacked. "), facts.headline),
      sentences.length > 1 ? sentences.map((sentence) => h("p", { class: "verdict trade" }, sentence)) : null,
    ),
    facts.settings.map((setting) => settingTable(facts, setting, found)),
    h(
      "p",
      { class: "note" },
      "Shares of images that are classified correctly, with 95 % intervals. Upper bounds: another attack may fool what ",
      "this one does not. Differences are in points, on the same images.",
    ),
  ];
}

function settingTable(facts, setting, found) {
  const words = settingWords(setting, facts.settings, { all: true });
  return h(
    "section",
    { "data-key": JSON.stringify(setting) },
    h("h2", {}, `Attacks at ${words}`),
    table({
      caption: `What engines withstand at ${words}`,
      heads: ["Network", "Natural", "Replayed inputs", "Under the attack", "Under both", "Against", "Queries"],
      rows: facts.at(setting).map((each) => row(each, found)),
    }),
  );
}

function row({ variant, cell: measured, found: state }, found) {
  const head = h("th", { scope: "row" }, variant, sub((measured?.flags ?? []).map((flag) => flag.detail).join("; ")));
  const attack = measured?.attack;
  if (!attack) return h("tr", {}, head, h("td", { colspan: 6, class: "cell waits" }, state?.reason ?? text.UNKNOWN));
  const changes = found.get(keyOf(measured.key))?.changes ?? [];
  return h(
    "tr",
    {},
    head,
    cell("Natural", text.percent(attack.natural.value), sub(`of ${text.plural(attack.natural.count, "image")}`)),
    cell("Replayed inputs", text.percent(measured.parity?.robust?.value)),
    cell("Under the attack", share(attack.robust)),
    cell("Under both", share(attack.robust_to_both)),
    cell("Against", changes.length === 0 ? text.UNKNOWN : changes.map(changeLine)),
    cell("Queries", text.whole(attack.queries)),
  );
}

function share(proportion) {
  if (!proportion) return text.UNKNOWN;
  const { low, high } = proportion.interval;
  return [`≤ ${text.percent(proportion.value)}`, sub(`${text.percent(low)} to ${text.percent(high)}`)];
}

const AGAINST = {
  record: "the host's record",
  fp32: "fp32",
  "floating-form": "its form in fp32",
  baseline: "dense",
};

function changeLine({ against, change }) {
  const { points, low, high } = change;
  return h(
    "div",
    {},
    `${AGAINST[against] ?? against}: ${text.points(points)}`,
    sub(`${text.points(low)} to ${text.points(high)}`),
  );
}
