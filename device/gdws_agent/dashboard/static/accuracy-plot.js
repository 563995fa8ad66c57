// Quality over images per second, one point a network: robust accuracy, natural accuracy if no attack was run, or the
// leading metric of what is no classifier.

import { s } from "./dom.js";
import { placeLabels } from "./labels.js";
import { padded, scale } from "./scale.js";
import { bottomAxis, leftAxis } from "./axes.js";
import * as text from "./text.js";

const HEIGHT = 340;

/** Return the plot of one setting, `width` wide; null if there is nothing to show. */
export function accuracyPlot(facts, setting, width) {
  const frame = { left: 52, right: width - 12, top: 12, bottom: HEIGHT - 44 };
  const quality = qualityOf(facts);
  const points = facts
    .at(setting)
    .map((each) => pointOf(each, quality.of(facts.variants.get(each.variant))))
    .filter(Boolean);
  if (points.length === 0) return null;
  const ranges = {
    x: padded(
      points.flatMap((p) => [p.fps.low, p.fps.high]),
      0.16,
    ),
    y: padded(
      points.flatMap((p) => [p.quality.low, p.quality.high]),
      0.1,
    ),
  };
  const x = scale(ranges.x, [frame.left, frame.right]);
  const y = scale(ranges.y, [frame.bottom, frame.top]);
  const shown = points
    .map((p) => `${p.name} ${text.significant(p.fps.value)} FPS and ${p.quality.shown}`)
    .join("; ");
  const words = `Plot of ${quality.words} against images per second at batch ${setting.batch_size}: ${shown}.`;
  const named = points.map((p) => ({ name: p.name, x: x(p.fps.value), y: y(p.quality.value) }));
  return s(
    "svg",
    { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": words },
    leftAxis(frame, ranges.y, y, points[0].quality.isShare ? `${quality.words} (%)` : quality.words),
    bottomAxis(frame, ranges.x, x, "images per second (FPS)"),
    quality.isJudged
      ? points.filter((p) => p.isBaseline).map((p) => goal(p, facts.tolerancePoints, x, y, frame))
      : null,
    points.map((p) => marker(p, x, y)),
    placeLabels(named, frame),
  );
}

/** What networks are judged by: its words, the value of a network, and whether a fall within the tolerance counts. */
function qualityOf({ leading, variants }) {
  if (leading.length > 0) {
    const [{ name, words, is_agreement }] = leading;
    return { words, isJudged: !is_agreement, of: ({ metrics }) => metrics.get(name)?.value ?? null };
  }
  const attacked = [...variants.values()].some((variant) => variant.robust !== null);
  const kind = attacked ? "robust" : "natural";
  return { words: `${kind} accuracy`, isJudged: true, of: (variant) => variant[kind] };
}

function pointOf({ variant, isBaseline, cell, found }, metric) {
  if (!metric || !cell || cell.fps === null) return null;
  const [low, high] = [found.fps_low ?? cell.fps, found.fps_high ?? cell.fps];
  const interval = metric.interval ?? { low: metric.value, high: metric.value };
  const isShare = "successes" in metric;
  const scaled = isShare ? 100 : 1;
  return {
    name: variant,
    isBaseline,
    fps: { value: cell.fps, low: Math.min(low, cell.fps), high: Math.max(high, cell.fps) },
    quality: {
      value: scaled * metric.value,
      low: scaled * interval.low,
      high: scaled * interval.high,
      shown: isShare ? text.percent(metric.value) : text.significant(metric.value),
      isShare,
    },
  };
}

/** Where a network is faster than the dense one and within the tolerance of its quality. */
function goal(dense, tolerancePoints, x, y, frame) {
  const left = x(dense.fps.value);
  const tolerance = dense.quality.isShare ? tolerancePoints : tolerancePoints / 100;
  const bottom = Math.min(y(dense.quality.value - tolerance), frame.bottom);
  return s("rect", { class: "goal", x: left, y: frame.top, width: frame.right - left, height: bottom - frame.top });
}

function marker(p, x, y) {
  const [cx, cy] = [x(p.fps.value), y(p.quality.value)];
  const r = 5.5;
  return s(
    "g",
    { class: p.isBaseline ? "dense" : "gdws" },
    s("line", { class: "range", x1: cx, x2: cx, y1: y(p.quality.low), y2: y(p.quality.high) }),
    s("line", { class: "range", x1: x(p.fps.low), x2: x(p.fps.high), y1: cy, y2: cy }),
    p.isBaseline
      ? s("path", {
          class: "mark",
          d: `M${cx} ${cy - r - 1}L${cx + r + 1} ${cy}L${cx} ${cy + r + 1}L${cx - r - 1} ${cy}Z`,
        })
      : s("circle", { class: "mark", cx, cy, r }),
  );
}
