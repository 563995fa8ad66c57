// A sparkline of the latest readings.

import { s } from "./dom.js";
import { scale } from "./scale.js";
import * as text from "./text.js";

const WIDTH = 160;
const HEIGHT = 28;

/** Return the line of `values`, null where one is missing; nothing before there are three. */
export function sparkline(values, name, unit) {
  const known = values.filter((value) => value !== null);
  if (known.length < 3) return null;
  const low = Math.min(...known);
  const high = Math.max(...known);
  const x = scale([0, values.length - 1], [2, WIDTH - 2]);
  const room = high > low ? 0 : Math.abs(high) || 1; // what does not change is a line in the middle
  const y = scale([low - room, high + room], [HEIGHT - 3, 3]);
  const words = `${name}: from ${text.significant(low)} to ${text.significant(high)} ${unit}`.trim();
  return s(
    "svg",
    {
      class: "sparkline",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": words,
    },
    pieces(values).map((piece) =>
      s("polyline", {
        points: piece.map(([index, value]) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
      }),
    ),
  );
}

/** The runs of known values, as (index, value). */
function pieces(values) {
  const found = [[]];
  values.forEach((value, index) => {
    if (value === null) found.push([]);
    else found.at(-1).push([index, value]);
  });
  return found.filter((piece) => piece.length > 1);
}
