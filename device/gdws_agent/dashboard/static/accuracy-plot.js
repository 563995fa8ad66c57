// Robust accuracy over images per second, one point a network; natural accuracy if no attack was run.

import { s } from "./dom.js";
import { placeLabels } from "./labels.js";
import { padded, scale } from "./scale.js";
import { bottomAxis, leftAxis } from "./axes.js";
import * as text from "./text.js";

const HEIGHT = 340;

/** Return the plot of one setting, `width` wide; null if there is nothing to show. */
export function accuracyPlot(facts, setting, width) {
  const frame = { left: 52, right: width - 12, top: 12, bottom: HEIGHT - 44 };
  const attacked = [...facts.variants.values()].some((variant) => variant.robust !== null);
  const kind = attacked ? "robust" : "natural";
  const points = facts
    .at(setting)
    .map((each) => pointOf(each, facts.variants.get(each.variant)[kind]))
    .filter(Boolean);
  if (points.length === 0) return null;
  const ranges = {
    x: padded(
      points.flatMap((p) => [p.fps.low, p.fps.high]),
      0.16,
    ),
    y: padded(
      points.flatMap((p) => [p.share.low, p.share.high]),
      0.1,
    ),
  };
  const x = scale(ranges.x, [frame.left, frame.right]);
  const y = scale(ranges.y, [frame.bottom, frame.top]);
  const shown = points
    .map((p) => `${p.name} ${text.significant(p.fps.value)} FPS and ${p.share.value.toFixed(1)} %`)
    .join("; ");
  const words = `Plot of ${kind} accuracy against images per second at batch ${setting.batch_size}: ${shown}.`;
  const named = points.map((p) => ({ name: p.name, x: x(p.fps.value), y: y(p.share.value) }));
  return s(
    "svg",
    { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": words },
    leftAxis(frame, ranges.y, y, `${kind} accuracy (%)`),
    bottomAxis(frame, ranges.x, x, "images per second (FPS)"),
    points.filter((p) => p.isBaseline).map((p) => goal(p, facts.tolerancePoints, x, y, frame)),
    points.map((p) => marker(p, x, y)),
    placeLabels(named, frame),
  );
}

function pointOf({ variant, isBaseline, cell, found }, accuracy) {
  if (!accuracy || !cell || cell.fps === null) return null;
  const [low, high] = [found.fps_low ?? cell.fps, found.fps_high ?? cell.fps];
  const interval = accuracy.interval ?? { low: accuracy.value, high: accuracy.value };
  return {
    name: variant,
    isBaseline,
    fps: { value: cell.fps, low: Math.min(low, cell.fps), high: Math.max(high, cell.fps) },
    share: { value: 100 * accuracy.value, low: 100 * interval.low, high: 100 * interval.high },
  };
}

/** Where a network is faster than the dense one and within the tolerance of its accuracy. */
function goal(dense, tolerancePoints, x, y, frame) {
  const left = x(dense.fps.value);
  const bottom = Math.min(y(dense.share.value - tolerancePoints), frame.bottom);
  return s("rect", { class: "goal", x: left, y: frame.top, width: frame.right - left, height: bottom - frame.top });
}

function marker(p, x, y) {
  const [cx, cy] = [x(p.fps.value), y(p.share.value)];
  const r = 5.5;
  return s(
    "g",
    { class: p.isBaseline ? "dense" : "gdws" },
    s("line", { class: "range", x1: cx, x2: cx, y1: y(p.share.low), y2: y(p.share.high) }),
    s("line", { class: "range", x1: x(p.fps.low), x2: x(p.fps.high), y1: cy, y2: cy }),
    p.isBaseline
      ? s("path", {
          class: "mark",
          d: `M${cx} ${cy - r - 1}L${cx + r + 1} ${cy}L${cx} ${cy + r + 1}L${cx - r - 1} ${cy}Z`,
        })
      : s("circle", { class: "mark", cx, cy, r }),
  );
}
