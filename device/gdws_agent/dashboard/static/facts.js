// A result arranged for reading: what the agent finds in it, beside what the host recorded of each network.

import { distinct, keyOf, settingOf } from "./jobs.js";

/**
 * Return `{settings, variants, leading, verdicts, headline, attacks, tolerancePoints, at}` of a job, its bundle's manifest
 * or null where that is no
 * longer stored, and what the agent finds (`GET /jobs/{id}/findings`). `at(setting)` are the measurements of one
 * setting, variants in the bundle's order. `leading` are the metrics that stand in place of accuracies; none of
 * classifiers.
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
  const variants = names.map((name) => variantFacts(name, about.get(name), beside.get(name)));
  return {
    settings,
    variants: new Map(variants.map((variant) => [variant.name, variant])),
    leading: leadingMetrics(variants),
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

function leadingMetrics(variants) {
  const leading = variants.flatMap(({ metrics }) => [...metrics.values()].filter((metric) => metric.leads));
  return [...new Map(leading.map((metric) => [metric.name, metric])).values()];
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
    metrics: new Map((network?.metrics ?? []).map((metric) => [metric.name, metric])),
  };
}
