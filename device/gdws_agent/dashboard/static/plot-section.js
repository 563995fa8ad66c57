// The plots of a result: accuracy against speed for one setting, latency for all.

import { accuracyPlot } from "./accuracy-plot.js";
import { h } from "./dom.js";
import { settingWords } from "./jobs.js";
import { latencyPlot } from "./latency-plot.js";

/** Wide, and for a narrow page: text in a plot shrinks with it. */
const WIDTH = 480;
const NARROW_WIDTH = 330;

/** How wide plots are on this page. */
export function plotWidth() {
  return matchMedia("(max-width: 640px)").matches ? NARROW_WIDTH : WIDTH;
}

/** Return the figures of what was timed; null where nothing was. */
export function plotSection(facts) {
  const width = plotWidth();
  const timed = facts.settings.filter((setting) => facts.at(setting).some((each) => each.cell?.latency));
  if (timed.length === 0) return null;
  const figures = [
    ...timed
      .slice(0, 1)
      .map((setting) => captioned(accuracyPlot(facts, setting, width), accuracyWords(facts, setting))),
    captioned(
      latencyPlot(facts, timed, width),
      "Median latency with a whisker to the 95th percentile, and the speed-up over the dense network.",
    ),
  ];
  return h("section", { class: "plots", "aria-label": "Plots" }, figures);
}

function captioned(plot, words) {
  return plot === null ? null : h("figure", {}, plot, h("figcaption", {}, words));
}

function accuracyWords(facts, setting) {
  const [first] = facts.leading;
  const where = `on the host's test images against images per second at ${settingWords(setting, facts.settings)}. `;
  const bars = "Bars: 95 % interval, range of the rounds.";
  if (first?.is_agreement) return `${first.title} ${where}${bars}`;
  return (
    `${first ? "Quality" : "Accuracy"} ${where}` +
    "Up and to the right is better; in the shaded corner a network is faster and loses no more than a point. " +
    bars
  );
}
