// Figures as people read them, as in the report of `gdws report`. An unknown is a dash, never a zero.

export const UNKNOWN = "–";

const known = (value) => value !== null && value !== undefined;

/** Plain notation with `digits` significant digits: 0.0123, 1.23, 12.3, 1,234. */
export function significant(value, digits = 3) {
  if (!known(value)) return UNKNOWN;
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  return grouped(value.toFixed(Math.min(Math.max(digits - 1 - exponent, 0), 100)));
}

/** A count with separators: 1,234. */
export function whole(value) {
  return known(value) ? grouped(value.toFixed(0)) : UNKNOWN;
}

/** A large count with k, M or G: 695 k. */
export function scaled(value) {
  if (!known(value)) return UNKNOWN;
  for (const [divisor, suffix] of [
    [1e9, " G"],
    [1e6, " M"],
    [1e3, " k"],
  ]) {
    // From 999.5 on it would read 1,000 of the smaller unit.
    if (Math.abs(value) >= divisor * 0.9995) return significant(value / divisor) + suffix;
  }
  return whole(value);
}

export function milliseconds(value) {
  return known(value) ? `${significant(value)} ms` : UNKNOWN;
}

/** A size in GiB, or in MiB below one. */
export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  return value >= 2 ** 30 ? `${significant(value / 2 ** 30)} GiB` : `${significant(value / 2 ** 20)} MiB`;
}

/** A share of 1: 93.9 %. */
export function percent(share) {
  return known(share) ? `${(100 * share).toFixed(1)} %` : UNKNOWN;
}

/** A difference in percentage points with its sign: −0.4. */
export function points(value) {
  if (!known(value)) return UNKNOWN;
  const text = value.toFixed(1);
  if (Number(text) === 0) return "0.0";
  return value < 0 ? text.replace("-", "−") : `+${text}`;
}

/** How many times: 1.42×. */
export function ratio(value) {
  return known(value) ? `${value.toFixed(2)}×` : UNKNOWN;
}

/** The limits of a ratio: 1.38–1.45. */
export function ratioInterval(interval) {
  return known(interval) ? `${interval.low.toFixed(2)}–${interval.high.toFixed(2)}` : UNKNOWN;
}

/** `1 cell`, `2 cells`. */
export function plural(count, noun) {
  return `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** The short name of an attack: PGD-40. */
export function attackName(attack) {
  if (!known(attack)) return UNKNOWN;
  const name = /^\p{L}{1,4}$/u.test(attack.name) ? attack.name.toUpperCase() : attack.name;
  return known(attack.iterations) ? `${name}-${attack.iterations}` : name;
}

/** The start of a hash or id, enough to tell it from others. */
export function short(id) {
  return id.slice(0, 12);
}

function grouped(digits) {
  const [integer, fraction] = digits.split(".");
  const separated = integer.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? separated : `${separated}.${fraction}`;
}
