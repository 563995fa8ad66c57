// Is a GDWS network faster here, and at what price? The rules of `gdws report`, one verdict a setting.

import * as text from "./text.js";

/** The fall in accuracy, in percentage points, up to which a network counts as keeping it. */
export const TOLERANCE_POINTS = 1;

/**
 * Return `{kind, variant, sentence}` of a setting. `gain`: faster and within the tolerance; `trade`: faster, but not
 * within it; `no-gain`: none is faster; `unknown`: not enough was measured to tell. Faster means that the whole
 * interval of the speed-up lies above 1.
 */
export function judge(facts, setting) {
  const measured = facts.at(setting);
  const judged = judgeTimes(facts, measured);
  const cells = measured.filter((each) => each.isBaseline || each.variant === judged.variant).map((each) => each.cell);
  const codes = [...new Set(cells.flatMap((cell) => cell?.flags.map((flag) => flag.code) ?? []))].sort();
  if (judged.variant === null || codes.length === 0) return judged;
  return { ...judged, sentence: `${judged.sentence} These times are flagged: ${text.listed(codes)}.` };
}

function judgeTimes(facts, measured) {
  const dense = measured.find((each) => each.isBaseline);
  if (!dense?.cell?.latency)
    return verdict("unknown", null, "The dense network was not timed, so there is no speed-up.");
  const candidates = measured
    .filter((each) => !each.isBaseline && each.cell?.latency && each.cell.speedup)
    .map((each) => candidate(each, facts.variants.get(each.variant), facts.variants.get(facts.baseline)));
  if (candidates.length === 0) return verdict("unknown", null, "No GDWS network was timed beside the dense one.");
  const faster = candidates.filter((each) => each.isFaster);
  if (faster.length === 0) {
    const best = fastest(candidates);
    return verdict("no-gain", best, `No GDWS network is shown to be faster: ${speedWords(best)}.`);
  }
  const kept = faster.filter((each) => each.price !== null && each.price.points >= -TOLERANCE_POINTS);
  if (kept.length > 0) {
    const best = fastest(kept);
    return verdict("gain", best, `${speedWords(best)} and keeps its accuracy: ${priceWords(best.price)}.`);
  }
  const priced = faster.filter((each) => each.price !== null);
  if (priced.length === 0) {
    const best = fastest(faster);
    return verdict("unknown", best, `${speedWords(best)}; what that costs in accuracy is not known.`);
  }
  const gentlest = priced.reduce((a, b) => (b.price.points > a.price.points ? b : a));
  return verdict(
    "trade",
    gentlest,
    `None is both faster and as accurate: ${speedWords(gentlest)}, at ${priceWords(gentlest.price)}.`,
  );
}

function verdict(kind, best, sentence) {
  return { kind, variant: best?.name ?? null, sentence };
}

function candidate({ variant, cell }, own, dense) {
  return {
    name: variant,
    ratio: cell.speedup.ratio,
    interval: cell.speedup.interval ?? null,
    isFaster: (cell.speedup.interval?.low ?? 0) > 1,
    price: price(own, dense),
  };
}

/** The greater of the falls in accuracy; null where an attacked network cannot be compared under attack. */
function price(own, dense) {
  const prices = [];
  if (own.robustChange !== null)
    prices.push({ kind: `robust accuracy (${text.attackName(own.attack)})`, points: rounded(own.robustChange) });
  else if (own.robust !== null || (dense?.robust ?? null) !== null) return null;
  if (own.naturalChange !== null) prices.push({ kind: "natural accuracy", points: rounded(own.naturalChange) });
  return prices.length > 0 ? prices.reduce((a, b) => (b.points < a.points ? b : a)) : null;
}

/** 93.0 % less 92.0 % is one point only up to the last bit. */
function rounded(points) {
  return Number(points.toFixed(6));
}

function fastest(candidates) {
  return candidates.reduce((a, b) => (b.ratio > a.ratio ? b : a));
}

function speedWords({ name, ratio, interval }) {
  const limits = interval === null ? "interval unknown" : `95 % interval ${text.ratioInterval(interval)}`;
  return `${name} runs ${text.ratio(ratio)} as fast as the dense network (${limits})`;
}

function priceWords({ kind, points }) {
  return `${text.points(points)} points of ${kind}`;
}
