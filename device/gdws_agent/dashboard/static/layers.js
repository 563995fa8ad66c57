// Times layer by layer, of a job that profiled.

import { h, s } from "./dom.js";
import { cell } from "./job-list.js";
import * as text from "./text.js";

/** Return a table of layers for each profiled cell, in the order in which they ran. */
export function layerSection(job) {
  return job.cells.filter((each) => each.profile).map((each) => {
    const { key, profile } = each;
    const words = `${key.variant} at batch ${key.batch_size}, ${key.backend}, ${key.precision}`;
    return h(
      "section",
      { "data-key": JSON.stringify(key) },
      h("h2", {}, words),
      h("p", { class: "note" }, `${text.milliseconds(profile.total_ms)} for all layers, by ${profile.tool} over ${text.plural(profile.iterations, "run")}. Profiling takes time itself: compare shares.`),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": `Layers of ${words}` },
        h(
          "table",
          { class: "stacks" },
          h("caption", { class: "unseen" }, `Layers of ${words}`),
          h("thead", {}, h("tr", {}, ["Layer", "From", "Kind", "Time", "Share"].map((head) => h("th", { scope: "col" }, head)))),
          h("tbody", {}, profile.layers.map(row)),
        ),
      ),
    );
  });
}

function row(layer) {
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "mono" }, layer.name),
    cell("From", layer.source ?? text.UNKNOWN),
    cell("Kind", layer.kind ?? text.UNKNOWN),
    cell("Time", text.milliseconds(layer.mean_ms)),
    cell("Share", text.percent(layer.share), meter(layer.share)),
  );
}

function meter(share) {
  return s(
    "svg",
    { class: "meter", viewBox: "0 0 60 8", "aria-hidden": "true" },
    s("rect", { class: "trough", width: 60, height: 8, rx: 4 }),
    s("rect", { class: "fill", width: Math.max(1, 60 * share), height: 8, rx: 4 }),
  );
}
