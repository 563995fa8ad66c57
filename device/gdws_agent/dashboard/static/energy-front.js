// Energy against latency of every network in every power mode, with the deadline and what was chosen.

import { bottomAxis, leftAxis } from "./axes.js";
import { h, s } from "./dom.js";
import { padded, scale } from "./scale.js";
import * as text from "./text.js";

const HEIGHT = 320;
/** As many tones as the style sheet has. */
const TONES = 6;

/** Return the figure of `energy`, `width` wide; null where nothing was measured. */
export function energyFigure(energy, width) {
  if (energy === null || energy === undefined || energy.points.length === 0) return null;
  return h("figure", {}, plot(energy, width), legend(energy), h("figcaption", {}, caption(energy)));
}

function plot(energy, width) {
  const { points, deadline_ms: deadlineMs } = energy;
  const frame = { left: 56, right: width - 12, top: 12, bottom: HEIGHT - 44 };
  const xs = padded([deadlineMs, ...points.map(latencyMs)], 0.05);
  const ys = [0, 1.06 * Math.max(...points.map((point) => costMj(point, energy)))];
  const x = scale(xs, [frame.left, frame.right]);
  const y = scale(ys, [frame.bottom, frame.top]);
  return s(
    "svg",
    { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": words(energy) },
    leftAxis(frame, ys, y, `energy of ${energy.minimised === "period" ? "a period" : "an inference"} (mJ)`),
    bottomAxis(frame, xs, x, "latency, 99th percentile (ms)"),
    s("line", { class: "limit", x1: x(deadlineMs), x2: x(deadlineMs), y1: frame.top, y2: frame.bottom }),
    points.map((point) => {
      const place = { cx: x(latencyMs(point)), cy: y(costMj(point, energy)) };
      return s("g", { class: tone(point.state, energy) }, mark(point, place), point.chosen ? ring(place) : null);
    }),
  );
}

function mark(point, { cx, cy }) {
  const shape = point.keeps_limits ? "mark" : "mark hollow";
  if (point.network !== "dense") return s("circle", { class: shape, cx, cy, r: 5 });
  return s("rect", { class: shape, x: cx - 5, y: cy - 5, width: 10, height: 10, transform: `rotate(45 ${cx} ${cy})` });
}

function ring({ cx, cy }) {
  return s("circle", { class: "ring", cx, cy, r: 10 });
}

function legend(energy) {
  return h(
    "ul",
    { class: "legend" },
    energy.states.map((state) => h("li", { class: tone(state, energy) }, state)),
  );
}

function caption(energy) {
  return (
    `The dashed line is the deadline of ${text.milliseconds(energy.deadline_ms)}, the ring what was chosen. Filled marks ` +
    "keep the limits of accuracy, hollow ones do not or were not evaluated; squares on their corners are the dense network."
  );
}

function words(energy) {
  const chosen = energy.points.find((point) => point.chosen);
  const all = energy.points.map(
    (point) =>
      `${point.network} in ${point.state} ${text.milliseconds(latencyMs(point))}, ${text.significant(costMj(point, energy))} mJ`,
  );
  return `Energy against latency: ${all.join("; ")}.${chosen ? ` Chosen: ${chosen.network} in ${chosen.state}.` : ""}`;
}

function tone(state, { states }) {
  return `tone-${states.indexOf(state) % TONES}`;
}

function latencyMs(point) {
  return point.tail_ms ?? point.latency_ms;
}

function costMj(point, { minimised }) {
  return minimised === "period" ? (point.period_mj ?? point.energy_mj) : point.energy_mj;
}
