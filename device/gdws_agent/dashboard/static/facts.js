// A result arranged for reading: what the host knows of each network beside what was measured of it.

import { isFinal, keyOf, settingsOf, variantsOf } from "./jobs.js";

/**
 * Return `{baseline, settings, variants, at}` of a job and its bundle's manifest, or null for a bundle that is no
 * longer stored. `at(setting)` are the measurements of one setting, variants in the bundle's order.
 */
export function factsOf(job, manifest) {
  const cells = new Map(job.cells.map((cell) => [keyOf(cell.key), cell]));
  const baseline = manifest?.baseline ?? job.cells.find((cell) => cell.speedup)?.speedup.baseline ?? null;
  const settings = settingsOf(job);
  const names = variantsOf(job, manifest);
  const about = new Map((manifest?.variants ?? []).map((variant) => [variant.name, variant]));
  const dense = about.get(baseline) ?? null;
  const variants = new Map(names.map((name) => [name, variantFacts(name, about.get(name) ?? null, dense)]));
  const measurement = (setting, name) => {
    const cell = cells.get(keyOf({ ...setting, variant: name })) ?? null;
    return { variant: name, isBaseline: name === baseline, cell, reason: reasonOf(cell, job) };
  };
  return { baseline, settings, variants, at: (setting) => names.map((name) => measurement(setting, name)) };
}

/** Images per second in the slowest and the fastest round, by their medians; null without rounds. */
export function fpsRange(cell) {
  const rates = cell.rounds
    .filter((round) => round.median_ms > 0)
    .map((round) => (1_000 * cell.key.batch_size) / round.median_ms);
  return rates.length > 0 ? { low: Math.min(...rates), high: Math.max(...rates) } : null;
}

/** Whether any figure comes from a simulated device. */
export function isSimulated(job, device = null) {
  return Boolean(device?.simulated) || job.cells.some((cell) => cell.simulated);
}

function variantFacts(name, variant, dense) {
  const own = variant?.evaluation ?? null;
  const reference = variant === dense ? null : (dense?.evaluation ?? null);
  return {
    name,
    method: variant?.method ?? null,
    parameters: variant?.parameters ?? null,
    macs: variant?.macs ?? null,
    macsRatio: variant !== dense && dense?.macs && variant?.macs ? dense.macs / variant.macs : null,
    natural: accuracy(own, "natural"),
    robust: accuracy(own, "robust"),
    attack: own?.attack ?? null,
    untrusted: own?.attack_check?.trusted === false,
    naturalChange: change(reference, own, "natural"),
    robustChange: change(reference, own, "robust"),
  };
}

/** The change of an accuracy in points, if both were measured on the same images under one attack that did not fail. */
function change(before, after, kind) {
  const [was, is] = [accuracy(before, kind), accuracy(after, kind)];
  if (was === null || is === null || before.data !== after.data || was.count !== is.count) return null;
  if (kind === "robust" && JSON.stringify(before.attack) !== JSON.stringify(after.attack)) return null;
  if (kind === "robust" && [before, after].some((found) => found.attack_check?.trusted === false)) return null;
  return 100 * (is.successes / is.count - was.successes / was.count);
}

/** A classifier's natural or robust accuracy, of its images; null if it was not measured. */
function accuracy(evaluation, kind) {
  return evaluation?.metrics[`${kind}_accuracy`] ?? null;
}

/** Why a cell has no times; null if it has, or if it is still to come. */
function reasonOf(cell, job) {
  if (cell === null) {
    if (!isFinal(job)) return null;
    return job.error
      ? `the job failed first: ${job.error.detail ?? job.error.title}`
      : `the job was ${job.state} first`;
  }
  if (cell.latency) return null;
  if (cell.profile) return "its layers were timed in place of the whole";
  if (cell.error) return cell.error.detail ?? cell.error.title;
  if (cell.parity && !cell.parity.passed)
    return cell.parity.reasons.join("; ") || "the device's answers are not the host's";
  return `the cell is ${cell.state.replace("_", " ")}, without a reason`;
}
