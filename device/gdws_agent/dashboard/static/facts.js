// A result arranged for reading: what the agent finds in it, beside what the host recorded of each network.

import { distinct, keyOf, settingOf } from "./jobs.js";

/**
 * Return `{settings, variants, verdicts, headline, attacks, tolerancePoints, at}` of a job, its bundle's manifest or null where that is no
 * longer stored, and what the agent finds (`GET /jobs/{id}/findings`). `at(setting)` are the measurements of one
 * setting, variants in the bundle's order.
 */
export function factsOf(job, manifest, findings) {
  const cells = new Map(job.cells.map((cell) => [keyOf(cell.key), cell]));
  const found = new Map(findings.cells.map((cell) => [keyOf(cell.key), cell]));
  const about = new Map((manifest?.variants ?? []).map((variant) => [variant.name, variant]));
  const beside = new Map(findings.networks.map((network) => [network.name, network]));
  const names = distinct(findings.cells.map((cell) => cell.key.variant));
  const settings = distinct(findings.cells.map((cell) => JSON.stringify(settingOf(cell.key)))).map((text) =>
    JSON.parse(text),
  );
  const measurement = (key) => ({
    variant: key.variant,
    isBaseline: key.variant === findings.baseline,
    cell: cells.get(keyOf(key)) ?? null,
    found: found.get(keyOf(key)),
  });
  return {
    settings,
    variants: new Map(names.map((name) => [name, variantFacts(name, about.get(name), beside.get(name))])),
    verdicts: findings.verdicts,
    headline: findings.headline,
    attacks: findings.attacks,
    tolerancePoints: findings.tolerance_points,
    at: (setting) => names.map((variant) => measurement({ ...setting, variant })),
  };
}

/** Whether any figure comes from a simulated device. */
export function isSimulated(job, device = null) {
  return Boolean(device?.simulated) || job.cells.some((cell) => cell.simulated);
}

function variantFacts(name, variant, network) {
  return {
    name,
    method: variant?.method ?? null,
    parameters: variant?.parameters ?? null,
    macs: variant?.macs ?? null,
    macsRatio: network?.macs_ratio ?? null,
    natural: network?.natural ?? null,
    robust: network?.robust ?? null,
    agreement: network?.agreement ?? null,
    attack: variant?.evaluation?.attack ?? null,
    untrusted: network?.is_untrusted ?? false,
    naturalChange: network?.natural_change ?? null,
    robustChange: network?.robust_change ?? null,
  };
}
