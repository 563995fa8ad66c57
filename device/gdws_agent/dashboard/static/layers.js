// Times layer by layer, of a job that profiled.

import { h, s } from "./dom.js";
import { cell, table } from "./table.js";
import * as text from "./text.js";

/** Return a table of layers for each profiled cell, in the order in which they ran. */
export function layerSection(job) {
  return job.cells
    .filter((each) => each.profile)
    .map((each) => {
      const { key, profile } = each;
      const words = `${key.variant} at batch ${key.batch_size}, ${key.backend}, ${key.precision}`;
      const tool = `by ${profile.tool} over ${text.plural(profile.iterations, "run")}`;
      const total = `${text.milliseconds(profile.total_ms)} for all layers, ${tool}.`;
      return h(
        "section",
        { "data-key": JSON.stringify(key) },
        h("h2", {}, words),
        h("p", { class: "note" }, total, " Profiling takes time itself: compare shares."),
        table({
          caption: `Layers of ${words}`,
          heads: ["Layer", "From", "Kind", "Time", "Share"],
          rows: profile.layers.map(row),
        }),
      );
    });
}

/** Return a table of the layers of the source network for each pair of profiles. */
export function comparedLayers(profiles) {
  return profiles.map(({ a, b, a_total_ms, b_total_ms, layers }) => {
    const words = `A: ${a.variant}, ${text.milliseconds(a_total_ms)}; B: ${b.variant}, ${text.milliseconds(b_total_ms)}`;
    return h(
      "section",
      { "data-key": JSON.stringify([a, b]) },
      h("h2", {}, "Layer by layer"),
      h("p", { class: "note" }, words, ". Profiling takes time itself: compare shares."),
      table({
        kind: "figures stacks",
        caption: "Times of the layers of the source network in A and B",
        heads: ["Layer", "A", "B", "A, share", "B, share"],
        rows: layers.map((layer) =>
          h(
            "tr",
            {},
            h("th", { scope: "row", class: "mono" }, layer.source),
            cell("A", text.milliseconds(layer.a_ms)),
            cell("B", text.milliseconds(layer.b_ms)),
            cell("A, share", text.percent(layer.a_share)),
            cell("B, share", text.percent(layer.b_share)),
          ),
        ),
      }),
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
