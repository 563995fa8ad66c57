// Names beside the points of a plot, where they cover neither a point nor each other.

import { s } from "./dom.js";

/** Width of a character and height of a line in the plot's units; generous for a sans-serif face. */
const CHARACTER = 7.5;
const LINE = 15;
const MARKER = 7;

/** Return about how wide a text is in the plot's units. */
export function textWidth(text) {
  return CHARACTER * text.length;
}

/** Return the names of `points` ({name, x, y}), each beside its point, with a line to it where it had to move away. */
export function placeLabels(points, frame) {
  const boxes = chooseBoxes(points, frame);
  return points.map((point, index) => {
    const box = boxes[index];
    const middle = (box.top + box.bottom) / 2;
    const near = {
      x: Math.min(Math.max(point.x, box.left), box.right),
      y: Math.min(Math.max(point.y, box.top), box.bottom),
    };
    const isFar = Math.hypot(near.x - point.x, near.y - point.y) > MARKER + LINE;
    return s(
      "g",
      { class: "label" },
      isFar ? s("line", { x1: point.x, y1: point.y, x2: near.x, y2: near.y }) : null,
      s("text", { x: box.left, y: middle + 4.5 }, point.name),
    );
  });
}

/**
 * Return a box for each name. Greedy: each in turn takes the place that covers least of the markers, of the boxes
 * already placed and of what lies outside the frame; places nearer to the customary one win ties.
 */
export function chooseBoxes(points, frame) {
  const taken = points.map(({ x, y }) => ({
    left: x - MARKER,
    right: x + MARKER,
    top: y - MARKER,
    bottom: y + MARKER,
  }));
  return points.map(({ name, x, y }) => {
    const places = candidates(x, y, textWidth(name), LINE);
    const best = places.reduce((a, b) => (cost(b, taken, frame) < cost(a, taken, frame) ? b : a));
    taken.push(best);
    return best;
  });
}

function candidates(x, y, width, height) {
  const gap = MARKER + 2;
  const lefts = [x + gap, x - gap - width, x - width / 2];
  const middles = [-1, 1, 0, -2, 2, -3, 3].map((step) => y + step * (height / 2 + gap));
  return middles.flatMap((middle) =>
    lefts.map((left) => ({ left, right: left + width, top: middle - height / 2, bottom: middle + height / 2 })),
  );
}

function cost(box, taken, frame) {
  const covered = taken.reduce((sum, other) => sum + overlap(box, other), 0);
  return covered + 3 * (area(box) - overlap(box, frame));
}

function overlap(a, b) {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return Math.max(width, 0) * Math.max(height, 0);
}

function area({ left, right, top, bottom }) {
  return (right - left) * (bottom - top);
}
