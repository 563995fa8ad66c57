// Saves a result as a file that `gdws report` and `gdws compare` read.

import { h } from "./dom.js";

/** Return the button that saves `job` with its device and manifest. */
export function saveButton(job, device, manifest) {
  const onclick = () => save(`result-${job.id}.json`, resultOf(job, device, manifest, new Date()));
  return h("button", { type: "button", onclick }, "Save result.json");
}

/** The BenchmarkResult of the contract. */
export function resultOf(job, device, manifest, now) {
  const { ends_in_s, ...stored } = job;
  return { schema_version: 2, job: stored, device, manifest, saved_at: now.toISOString(), partial: false };
}

function save(name, value) {
  const address = URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }));
  const link = h("a", { href: address, download: name });
  link.click();
  URL.revokeObjectURL(address);
}
