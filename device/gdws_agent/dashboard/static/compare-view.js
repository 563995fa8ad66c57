// The view of two jobs side by side.

import { compareCells, differences, roundRange } from "./comparison.js";
import { h } from "./dom.js";
import { isProfile, settingOf, settingWords, title } from "./jobs.js";
import { modelNames } from "./model-names.js";
import { ratioBar } from "./ratio-bar.js";
import { jobLink } from "./router.js";
import { cell, sub, table } from "./table.js";
import { local } from "./times.js";
import * as text from "./text.js";

const OFFERED = 200;

/** Show the comparison of the jobs `a` and `b` of `query`, with a choice of others. */
export async function showCompare(page, query) {
  const { agent, signal } = page;
  const ids = { a: query.get("a"), b: query.get("b") };
  const wanted = (id) => (id ? agent.get(`benchmark/${encodeURIComponent(id)}`, { signal }) : null);
  const [list, nameOf, a, b] = await Promise.all([
    agent.get(`benchmark?state=done&limit=${OFFERED}`, { signal }),
    modelNames(page),
    wanted(ids.a),
    wanted(ids.b),
  ]);
  const offered = [
    ...list.jobs.filter((job) => !isProfile(job)),
    ...[a, b].filter((job) => job && !list.jobs.some((each) => each.id === job.id)),
  ];
  page.root.replaceChildren(
    h("h1", { tabindex: "-1" }, "Compare"),
    offered.length < 2
      ? h(
          "p",
          { class: "note" },
          "There must be two results to compare. Measure the same bundle again, or another release of it.",
        )
      : chooser(offered, nameOf, ids),
    a && b
      ? comparison(a, b, nameOf)
      : h("p", { class: "note" }, "Choose a result A to start from, and B to hold against it."),
  );
}

function chooser(jobs, nameOf, ids) {
  const onsubmit = (event) => {
    event.preventDefault();
    const { a, b } = event.target.elements;
    location.hash = `#/compare?${new URLSearchParams({ a: a.value, b: b.value })}`;
  };
  const choice = (name) =>
    h(
      "label",
      {},
      name.toUpperCase(),
      h(
        "select",
        { name, required: true },
        h("option", { value: "" }, "choose"),
        jobs.map((job) =>
          h(
            "option",
            { value: job.id, selected: job.id === ids[name] },
            `${title(job, nameOf(job.request.model_id))}, ${local(job.created_at)}, ${job.id}`,
          ),
        ),
      ),
    );
  return h(
    "form",
    { class: "chooser", onsubmit },
    choice("a"),
    choice("b"),
    h("button", { type: "submit", class: "primary" }, "Compare"),
  );
}

function comparison(a, b, nameOf) {
  const { rows, onlyA, onlyB } = compareCells(a, b);
  const head = (word, job) =>
    h(
      "p",
      {},
      h("strong", {}, `${word}: `),
      h("a", { href: jobLink(job.id) }, title(job, nameOf(job.request.model_id))),
      ` ${local(job.started_at ?? job.created_at)}`,
    );
  return h(
    "div",
    {},
    h("div", { class: "pair" }, head("A", a), head("B", b)),
    rows.length === 0
      ? h(
          "p",
          { class: "note" },
          "They have no cell in common: no variant on the same backend, precision and batch size.",
        )
      : comparedCells(rows),
    missing("Only in A", onlyA),
    missing("Only in B", onlyB),
    h("h2", {}, "What differed in how they were measured"),
    circumstances(differences(a, b)),
  );
}

function comparedCells(rows) {
  return [
    table({
      kind: "figures stacks",
      caption: "Median latency of the same cells in A and B",
      heads: ["Network", "A", "B", "B against A", ""],
      rows: rows.map((row) => compared(row, settingWords(settingOf(row.key), [], { all: true }))),
    }),
    h(
      "p",
      { class: "note" },
      "B against A: the median latency of A over that of B, so above 1 B is faster. Below each median: the range of " +
        "the medians of its rounds. Where these ranges overlap, the difference may be chance.",
    ),
  ];
}

function compared({ key, a, b, ratio, overlap }, words) {
  const kind = ratio === null || overlap ? "" : ratio > 1 ? "better" : "worse";
  const told = ratio === null ? "not timed" : overlap ? "within the rounds' range" : ratio > 1 ? "faster" : "slower";
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, key.variant, sub(words)),
    cell("A", text.milliseconds(a.latency?.median_ms), rangeOf(a)),
    cell("B", text.milliseconds(b.latency?.median_ms), rangeOf(b)),
    cell("B against A", h("strong", { class: kind }, text.ratio(ratio)), sub(told)),
    h("td", { class: "bar-cell" }, ratio === null ? null : ratioBar(ratio, kind)),
  );
}

function rangeOf(measured) {
  const range = roundRange(measured);
  return range === null ? null : sub(`${text.significant(range.low)}–${text.significant(range.high)}`);
}

function missing(words, keys) {
  if (keys.length === 0) return null;
  const cells = keys.map((key) => `${key.variant} at ${settingWords(settingOf(key), [], { all: true })}`);
  return h("p", { class: "note" }, `${words}: ${text.listed(cells)}.`);
}

function circumstances(found) {
  if (found.length === 0)
    return h(
      "p",
      { class: "note" },
      "Nothing that the agent knows of: same bundle, protocol, engine options and environment.",
    );
  return table({
    caption: "Circumstances that differ",
    heads: ["What", "A", "B"],
    rows: found.map(({ name, a, b }) =>
      h("tr", {}, h("th", { scope: "row" }, name), cell("A", a ?? text.UNKNOWN), cell("B", b ?? text.UNKNOWN)),
    ),
  });
}
