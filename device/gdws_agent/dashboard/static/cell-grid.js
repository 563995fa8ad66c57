// The cells of a job: networks down, settings across, each with its result or its stage.

import { h } from "./dom.js";
import { isFinal, keyOf, settingsOf, settingWords, stageWord, variantsOf } from "./jobs.js";
import { sub, table } from "./table.js";
import * as text from "./text.js";

/** Return the grid of `job`. */
export function cellGrid(job) {
  const settings = settingsOf(job);
  const done = new Map(job.cells.map((cell) => [keyOf(cell.key), cell]));
  const current = job.state === "running" && job.progress.cell ? keyOf(job.progress.cell) : null;
  const cellOf = (variant, setting) => {
    const key = keyOf({ ...setting, variant });
    if (done.has(key)) return finished(done.get(key));
    if (key === current) return underWay(job.progress);
    return h("td", { class: "cell waits" }, isFinal(job) ? "not measured" : "waits");
  };
  return table({
    kind: "cells",
    caption: "Cells of the job: median latency and speed-up, or the stage",
    heads: ["Network", ...settings.map((setting) => settingWords(setting, settings))],
    rows: variantsOf(job).map((variant) =>
      h(
        "tr",
        { "data-key": variant },
        h("th", { scope: "row" }, variant),
        settings.map((setting) => cellOf(variant, setting)),
      ),
    ),
  });
}

function finished(cell) {
  if (cell.state === "parity_failed")
    return h("td", { class: "cell bad" }, "parity failed", sub(cell.parity?.reasons.join("; ")));
  if (cell.state === "failed")
    return h("td", { class: "cell bad" }, "failed", sub(cell.error?.detail ?? cell.error?.title));
  if (cell.profile) return h("td", { class: "cell done" }, `${text.plural(cell.profile.layers.length, "layer")} timed`);
  if (cell.attack)
    return h(
      "td",
      { class: "cell done" },
      `≤ ${text.percent(cell.attack.robust.value)} robust`,
      sub(`${text.whole(cell.attack.queries)} queries`),
    );
  const parts = [
    cell.speedup ? text.ratio(cell.speedup.ratio) : null,
    cell.fps === null ? null : `${text.significant(cell.fps)} FPS`,
  ];
  return h(
    "td",
    { class: "cell done" },
    text.milliseconds(cell.latency?.median_ms),
    sub(parts.filter(Boolean).join(" · ")),
  );
}

function underWay({ stage, round, rounds, attack }) {
  const turn = rounds ? `round ${round + 1} of ${rounds}` : attack ? attackWords(attack) : "";
  return h("td", { class: "cell now" }, stageWord(stage ?? "load"), sub(turn));
}

function attackWords({ images, images_total, correct, queries }) {
  const done = `${text.whole(images)} of ${text.plural(images_total, "image")}, ${text.whole(correct)} still correct`;
  return `${done}, ${text.whole(queries)} queries`;
}
