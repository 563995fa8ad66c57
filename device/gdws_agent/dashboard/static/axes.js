// The lines, figures and names at the sides of a plot.

import { s } from "./dom.js";
import { decimals, ticks } from "./scale.js";
import { whole } from "./text.js";

/** Return the axis below the frame with lines across it. `range`: its values; `x`: where each lies. */
export function bottomAxis(frame, range, x, name, count = 5) {
  const values = ticks(...range, count);
  return s(
    "g",
    { class: "axis" },
    values.map((value) => [
      s("line", { class: "grid", x1: x(value), x2: x(value), y1: frame.top, y2: frame.bottom }),
      s("text", { x: x(value), y: frame.bottom + 16, "text-anchor": "middle" }, labelOf(value, values)),
    ]),
    s(
      "text",
      { class: "name", x: (frame.left + frame.right) / 2, y: frame.bottom + 36, "text-anchor": "middle" },
      name,
    ),
  );
}

/** Return the axis at the left of the frame with lines across it. */
export function leftAxis(frame, range, y, name, count = 6) {
  const values = ticks(...range, count);
  const middle = (frame.top + frame.bottom) / 2;
  return s(
    "g",
    { class: "axis" },
    values.map((value) => [
      s("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(value), y2: y(value) }),
      s("text", { x: frame.left - 8, y: y(value) + 4, "text-anchor": "end" }, labelOf(value, values)),
    ]),
    s(
      "text",
      { class: "name", x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` },
      name,
    ),
  );
}

function labelOf(value, values) {
  const places = values.length > 1 ? decimals(values[1] - values[0]) : 1;
  return places === 0 ? whole(value) : value.toFixed(places);
}
