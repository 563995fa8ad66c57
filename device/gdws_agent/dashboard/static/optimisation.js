// The search that a bundle's networks were planned by: the answer, the front, and every layer with the reason.

import { bottomAxis, leftAxis } from "./axes.js";
import { h, s } from "./dom.js";
import { energyFigure } from "./energy-front.js";
import { padded, scale } from "./scale.js";
import { cell, table } from "./table.js";
import * as text from "./text.js";

const HEIGHT = 300;

/** Return the section on the search of `manifest`, `width` wide; null where its networks were not planned by one. */
export function optimisationSection(manifest, width) {
  const found = manifest?.optimisation ?? null;
  if (found === null) return null;
  const plot = frontPlot(found, width);
  return h(
    "section",
    { "data-key": "optimisation", "aria-label": "Optimisation" },
    h("h2", {}, `Planned for: ${found.goal}`),
    h("p", { class: "note" }, `By the host, on ${found.device}; ${found.setting}.`),
    found.summary.map((sentence) => h("p", {}, sentence)),
    energyFigure(found.energy, width),
    plot === null ? null : h("figure", {}, plot, h("figcaption", {}, frontWords(found))),
    layerTable(found),
    found.doubts.map((doubt) => h("p", { class: "note" }, doubt)),
  );
}

function frontWords({ unit }) {
  const gain = unit === "mJ" ? "gain in energy" : "speed-up";
  return (
    `Change of accuracy against the ${gain} over the dense network, of the networks whose accuracy was judged; the larger ` +
    "mark is what is delivered, the line the limit."
  );
}

function layerTable({ layers, unit }) {
  return table({
    caption: "What became of each layer, and why",
    heads: ["Layer", "Option", "G/C", `Dense, ${unit}`, `Now, ${unit}`, "MACs", "Error", "Why"],
    rows: layers.map((layer) =>
      h(
        "tr",
        { "data-key": layer.name },
        h("th", { scope: "row", class: "mono" }, layer.name),
        cell("Option", layer.option),
        cell("G/C", text.significant(layer.mean_rank)),
        cell(`Dense, ${unit}`, text.significant(layer.dense_ms)),
        cell(`Now, ${unit}`, text.significant(layer.ms)),
        cell("MACs", text.scaled(layer.macs ?? layer.macs_dense)),
        cell("Error", text.significant(layer.error, 2)),
        cell("Why", layer.why),
      ),
    ),
  });
}

/** The change of natural or robust accuracy, whichever fell further, on the final images if it was judged there. */
function lossOf(network) {
  const changes = [network.final_natural ?? network.natural, network.final_robust ?? network.robust];
  return changes.filter((change) => change).sort((a, b) => b.points - a.points)[0] ?? null;
}

function frontPlot(found, width) {
  const points = found.networks
    .map((network) => ({ network, loss: lossOf(network) }))
    .filter(({ loss }) => loss !== null);
  if (points.length === 0) return null;
  const frame = { left: 52, right: width - 12, top: 12, bottom: HEIGHT - 44 };
  const limits = [...new Set([found.natural_limit_points, found.robust_limit_points])].filter((each) => each !== null);
  const xs = padded([1, ...points.flatMap(({ network }) => [network.speedup_low, network.speedup_high])], 0.08);
  const ys = padded([0, ...limits.map((limit) => -limit), ...points.map(({ loss }) => -loss.points)], 0.15);
  const x = scale(xs, [frame.left, frame.right]);
  const y = scale(ys, [frame.bottom, frame.top]);
  const shown = points
    .map(({ network, loss }) => `${network.name} ${text.ratio(network.speedup)}, ${text.points(-loss.points)} points`)
    .join("; ");
  return s(
    "svg",
    {
      class: "plot",
      viewBox: `0 0 ${width} ${HEIGHT}`,
      role: "img",
      "aria-label": `Change of accuracy against speed-up: ${shown}.`,
    },
    leftAxis(frame, ys, y, "change of accuracy (points)"),
    bottomAxis(frame, xs, x, found.unit === "mJ" ? "times less energy than dense" : "times as fast as dense"),
    limits.map((limit) =>
      s("line", { class: "limit", x1: frame.left, x2: frame.right, y1: y(-limit), y2: y(-limit) }),
    ),
    s("g", { class: "dense" }, s("circle", { class: "mark", cx: x(1), cy: y(0), r: 5 })),
    points.map(({ network, loss }) =>
      s(
        "g",
        { class: "gdws" },
        s("line", {
          class: "range",
          x1: x(network.speedup_low),
          x2: x(network.speedup_high),
          y1: y(-loss.points),
          y2: y(-loss.points),
        }),
        s("circle", { class: "mark", cx: x(network.speedup), cy: y(-loss.points), r: network.delivered ? 7 : 4 }),
      ),
    ),
  );
}
