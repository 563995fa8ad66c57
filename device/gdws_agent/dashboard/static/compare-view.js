// The view of two jobs side by side: it shows what the agent answers to GET /compare, and decides nothing.

import { h } from "./dom.js";
import { isAttack, isProfile, settingOf, settingWords, title } from "./jobs.js";
import { modelNames } from "./model-names.js";
import { ratioBar } from "./ratio-bar.js";
import { comparedLayers } from "./layers.js";
import { jobLink } from "./router.js";
import { SPEED_CLASS } from "./speed.js";
import { cell, sub, table } from "./table.js";
import { local } from "./times.js";
import * as text from "./text.js";

const OFFERED = 200;

/** Show the comparison of the jobs `a` and `b` of `query`, with a choice of others. */
export async function showCompare(page, query) {
  const { agent, signal } = page;
  const ids = { a: query.get("a"), b: query.get("b") };
  const wanted = (id) => (id ? agent.get(`jobs/${encodeURIComponent(id)}?rounds=false`, { signal }) : null);
  const [list, nameOf, a, b, found] = await Promise.all([
    agent.get(`jobs?state=done&limit=${OFFERED}`, { signal }),
    modelNames(page),
    wanted(ids.a),
    wanted(ids.b),
    ids.a && ids.b ? agent.get(`compare?${new URLSearchParams(ids)}`, { signal }) : null,
  ]);
  const ofLayers = [a, b].some((job) => job && isProfile(job));
  const offered = [
    ...list.jobs.filter((job) => !isAttack(job) && isProfile(job) === ofLayers),
    ...[a, b].filter((job) => job && !list.jobs.some((each) => each.id === job.id)),
  ];
  page.root.replaceChildren(
    h("h1", { tabindex: "-1" }, "Compare"),
    offered.length < 2
      ? h(
          "p",
          { class: "note" },
          "Two results are needed. Measure the same bundle again, or another release of it.",
        )
      : chooser(offered, nameOf, ids),
    found
      ? comparison(found, [a, b], nameOf)
      : h("p", { class: "note" }, "Choose a result A, and a result B to compare with it."),
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

function comparison({ a, b, cells, profiles, only_a, only_b, differences }, jobs, nameOf) {
  const head = (word, job, { verdicts }) =>
    h(
      "p",
      {},
      h("strong", {}, `${word}: `),
      h("a", { href: jobLink(job.id) }, title(job, nameOf(job.request.model_id))),
      ` ${local(job.started_at ?? job.created_at)}`,
      verdicts.map(({ title: name, sentence }) => sub(`${name}. ${sentence}`)),
    );
  return h(
    "div",
    {},
    h("div", { class: "pair" }, head("A", jobs[0], a), head("B", jobs[1], b)),
    comparedLayers(profiles),
    cells.length === 0
      ? profiles.length > 0
        ? null
        : h(
            "p",
            { class: "note" },
            "They have no cell in common: no network on the same backend, in the same precision and batch size.",
          )
      : comparedCells(cells),
    missing("Only in A", only_a),
    missing("Only in B", only_b),
    h("h2", {}, "What differed in how they were measured"),
    circumstances(differences),
  );
}

function comparedCells(cells) {
  const metrics = new Map(cells.flatMap((each) => each.metrics).map(({ name, words }) => [name, words]));
  return [
    table({
      kind: "figures stacks",
      caption: "Median latency of the same cells in A and B",
      heads: ["Network", "A", "B", "B against A", "", ...metrics.values()],
      rows: cells.map((each) => compared(each, metrics)),
    }),
    h(
      "p",
      { class: "note" },
      "B against A: how many times as fast B is in the typical window, with the 95 % interval over the windows of " +
        "each. What differs from run to run as a whole, such as heat or another build of an engine, is not in the " +
        "interval: to be sure of a small difference, measure both networks in one bundle, where they take turns.",
    ),
  ];
}

function compared({ key, median_a_ms, median_b_ms, speedup, verdict, reason, metrics: own }, metrics) {
  const kind = SPEED_CLASS[verdict] ?? "";
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, key.variant, sub(settingWords(settingOf(key), [], { all: true }))),
    cell("A", text.milliseconds(median_a_ms)),
    cell("B", text.milliseconds(median_b_ms)),
    cell(
      "B against A",
      h("strong", { class: kind }, text.ratio(speedup?.value)),
      sub(speedup === null ? null : text.ratioInterval(speedup)),
      sub(reason === null ? verdict : `${verdict}: ${reason}`),
    ),
    h("td", { class: "bar-cell" }, speedup === null ? null : ratioBar(speedup.value, kind)),
    [...metrics].map(([name, words]) => cell(words, pair(own.find((each) => each.name === name)))),
  );
}

function pair(metric) {
  return metric ? `${metric.a ?? text.UNKNOWN} → ${metric.b ?? text.UNKNOWN}` : text.UNKNOWN;
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
      "No known difference: same protocol, engine options and environment.",
    );
  return table({
    caption: "Circumstances that differ",
    heads: ["What", "A", "B"],
    rows: found.map(({ what, a, b }) =>
      h("tr", {}, h("th", { scope: "row" }, what), cell("A", a ?? text.UNKNOWN), cell("B", b ?? text.UNKNOWN)),
    ),
  });
}
