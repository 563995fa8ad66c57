// A ratio as a bar from 1, to the right where it is above, on a logarithmic scale.

import { s } from "./dom.js";

const WIDTH = 120;
const HEIGHT = 14;
const FULL = Math.log(2);

/** Return the bar of `ratio`; it is full at 2 and at 1/2. `kind` is its class. */
export function ratioBar(ratio, kind) {
  const share = Math.max(-1, Math.min(1, Math.log(ratio) / FULL));
  const middle = WIDTH / 2;
  const length = Math.abs(share) * middle;
  return s(
    "svg",
    { class: `ratio ${kind}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    s("rect", {
      class: "fill",
      x: share < 0 ? middle - length : middle,
      y: 2,
      width: length,
      height: HEIGHT - 4,
      rx: 2,
    }),
    s("line", { x1: middle, x2: middle, y1: 0, y2: HEIGHT }),
  );
}
