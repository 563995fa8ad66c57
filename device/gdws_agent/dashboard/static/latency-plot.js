// Median latency of each network as a bar with a whisker to the 95th percentile, a panel a setting.

import { s } from "./dom.js";
import { settingWords } from "./jobs.js";
import { textWidth } from "./labels.js";
import * as text from "./text.js";

const ROW = 24;
const HEAD = 30;
const GAP = 8;

/** Return the plot of `settings`, each with times, `width` wide. */
export function latencyPlot(facts, settings, width) {
  const panels = settings.map((setting) => ({
    setting,
    timed: facts.at(setting).filter((each) => each.cell?.latency),
  }));
  const longestName = Math.max(...panels.flatMap(({ timed }) => timed.map((each) => textWidth(each.variant))));
  const left = Math.min(longestName + GAP, 0.4 * width);
  let top = 0;
  const drawn = panels.map(({ setting, timed }) => {
    const panel = drawPanel(timed, settingWords(setting, settings), { left, top, width });
    top += HEAD + ROW * timed.length + 6;
    return panel;
  });
  const shown = panels
    .map(({ setting, timed }) => `${settingWords(setting, settings)}: ${timed.map(barWords).join(", ")}`)
    .join("; ");
  return s(
    "svg",
    {
      class: "plot",
      viewBox: `0 0 ${width} ${top}`,
      role: "img",
      "aria-label": `Bars of the median latency. ${shown}.`,
    },
    drawn,
  );
}

function drawPanel(timed, words, { left, top, width }) {
  // Each bar leaves room for its own figures.
  const perMs = Math.min(
    ...timed.map(({ cell }) => (width - left - 2 * GAP - textWidth(valueWords(cell))) / whisker(cell)),
  );
  const x = (ms) => left + perMs * ms;
  return s(
    "g",
    {},
    s("text", { class: "panel", x: 0, y: top + 18 }, words),
    timed.map(({ variant, isBaseline, cell }, index) => {
      const y = top + HEAD + ROW * index;
      const middle = y + ROW / 2;
      const median = cell.latency.median_ms;
      return s(
        "g",
        { class: isBaseline ? "dense" : "gdws" },
        s("text", { class: "row", x: left - GAP, y: middle + 4.5, "text-anchor": "end" }, clipped(variant, left - GAP)),
        s("rect", { class: "bar", x: left, y: y + 4, width: Math.max(x(median) - left, 1), height: ROW - 8, rx: 2 }),
        s("line", { class: "whisker", x1: x(median), x2: x(whisker(cell)), y1: middle, y2: middle }),
        s("text", { class: "value", x: x(whisker(cell)) + GAP, y: middle + 4.5 }, valueWords(cell)),
      );
    }),
  );
}

function valueWords(cell) {
  return text.milliseconds(cell.latency.median_ms) + (cell.speedup ? ` · ${text.ratio(cell.speedup.ratio)}` : "");
}

function barWords({ variant, cell }) {
  return `${variant} ${text.milliseconds(cell.latency.median_ms)}`;
}

/** The 95th percentile in milliseconds, or the median where the samples are too few for it. Never zero. */
function whisker(cell) {
  return Math.max(cell.latency.p95_ms ?? 0, cell.latency.median_ms, Number.MIN_VALUE);
}

function clipped(name, width) {
  if (textWidth(name) <= width) return name;
  return `${name.slice(0, Math.floor((name.length * width) / textWidth(name)) - 1)}…`;
}
