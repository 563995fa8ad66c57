// Two jobs side by side: cells of the same variant and setting, and what differed in how they were measured.

import { keyOf } from "./jobs.js";

/** Facts of the machine that change from one cell to the next by themselves. */
const RESTLESS = new Set(["load_average_1min", "memory_available_bytes", "cpu_others_share", "cpu_stolen_share"]);

/**
 * Return a row `{key, a, b, ratio, overlap}` for each cell that both jobs have, and the keys that only one has.
 * `ratio` is A's median latency over B's, above 1 where B is faster, null where one was not timed; `overlap` says
 * whether the medians of the rounds overlap, so that the difference may be chance.
 */
export function compareCells(a, b) {
  const others = new Map(b.cells.map((cell) => [keyOf(cell.key), cell]));
  const own = new Set(a.cells.map((cell) => keyOf(cell.key)));
  const rows = a.cells
    .filter((cell) => others.has(keyOf(cell.key)))
    .map((cell) => compared(cell, others.get(keyOf(cell.key))));
  const onlyA = a.cells.filter((cell) => !others.has(keyOf(cell.key))).map((cell) => cell.key);
  const onlyB = b.cells.filter((cell) => !own.has(keyOf(cell.key))).map((cell) => cell.key);
  return { rows, onlyA, onlyB };
}

/** Return `{name, a, b}` for each fact of request and environment that differs; null is unknown. */
export function differences(a, b) {
  const before = circumstances(a);
  const after = circumstances(b);
  const names = [...new Set([...before.keys(), ...after.keys()])];
  return names
    .map((name) => ({ name, a: before.get(name) ?? null, b: after.get(name) ?? null }))
    .filter((each) => each.a !== each.b);
}

function compared(a, b) {
  const timed = a.latency && b.latency;
  const ranges = [roundRange(a), roundRange(b)];
  return {
    key: a.key,
    a,
    b,
    ratio: timed && b.latency.median_ms > 0 ? a.latency.median_ms / b.latency.median_ms : null,
    overlap: timed && ranges.every(Boolean) ? ranges[0].low <= ranges[1].high && ranges[1].low <= ranges[0].high : null,
  };
}

/** The lowest and the highest median of a cell's rounds in milliseconds; null without rounds. */
export function roundRange(cell) {
  const medians = cell.rounds.map((round) => round.median_ms);
  return medians.length > 0 ? { low: Math.min(...medians), high: Math.max(...medians) } : null;
}

function circumstances(job) {
  const found = new Map([["bundle", job.request.model_id]]);
  for (const [name, value] of Object.entries(job.request.protocol)) found.set(`protocol: ${name}`, worded(value));
  for (const [name, value] of Object.entries(job.request.engine ?? {})) found.set(`engine: ${name}`, worded(value));
  gather(found, job.cells, "power mode in force", (cell) => cell.power_mode);
  gather(found, job.cells, "jetson_clocks", (cell) => cell.jetson_clocks);
  gather(found, job.cells, "power sensor", (cell) => cell.power?.sensor);
  gather(found, job.cells, "simulated", (cell) => cell.simulated);
  gather(found, job.cells, "throttled", (cell) => cell.thermal?.throttled);
  const names = new Set(job.cells.flatMap((cell) => Object.keys(cell.environment ?? {})));
  for (const name of names) {
    if (!RESTLESS.has(name)) gather(found, job.cells, name, (cell) => cell.environment?.[name]);
  }
  return found;
}

/** Note what all cells that know it say of `name`: one value, or all that occur. */
function gather(found, cells, name, read) {
  const values = [
    ...new Set(
      cells
        .map(read)
        .map(worded)
        .filter((value) => value !== null),
    ),
  ];
  if (values.length > 0) found.set(name, values.sort().join(", "));
}

function worded(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
