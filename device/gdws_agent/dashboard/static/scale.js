// Scales from values to positions in a plot, and the round values for its ticks.

/** Return the linear map from the range `domain` to the range `places`. */
export function scale([low, high], [from, to]) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

/** Return about `count` round values within a range: steps of 1, 2 or 5 times a power of ten. */
export function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= rough * 0.999);
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + 1e-9 * step; index += 1)
    found.push(index * step);
  return found;
}

/** Return the decimals that values a `step` apart need to differ. */
export function decimals(step) {
  return Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
}

/** Return the range of `values` with room on both sides. */
export function padded(values, share) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = share * (high - low) || 0.05 * Math.abs(high) || 1;
  return [low - room, high + room];
}
