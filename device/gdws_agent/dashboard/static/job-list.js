// Jobs as rows of a table.

import { h } from "./dom.js";
import { stateWord, title } from "./jobs.js";
import { jobLink } from "./router.js";
import { cell, table } from "./table.js";
import { between, duration, local } from "./times.js";
import * as text from "./text.js";

/** Return the pill with the state of a job or cell; `word` in place of the state's own. */
export function statePill(state, word = stateWord(state)) {
  return h("span", { class: `state ${state}` }, word);
}

/**
 * Return a table of `jobs`, newest first. `nameOf(modelId)` is a bundle's name or null; `extra(job)`, where given, is
 * a last cell under the head `extraHead`.
 */
export function jobTable(jobs, { caption, nameOf, extraHead = null, extra = () => null }) {
  const heads = ["Job", "Bundle", "State", "Cells", "Began", "Took", ...(extraHead === null ? [] : [extraHead])];
  return table({ caption, heads, rows: jobs.map((job) => row(job, nameOf(job.request.model_id), extraHead, extra)) });
}

function row(job, modelName, extraHead, extra) {
  const tookS = between(job.started_at, job.finished_at);
  const { cells_finished, cells_total } = job.progress;
  return h(
    "tr",
    { "data-key": job.id },
    h(
      "th",
      { scope: "row" },
      h("a", { href: jobLink(job.id) }, title(job, modelName)),
      h("span", { class: "sub mono" }, job.id),
    ),
    cell("Bundle", modelName ?? `${text.short(job.request.model_id)}…`),
    cell("State", statePill(job.state)),
    cell("Cells", `${text.whole(cells_finished)} of ${text.whole(cells_total)}`),
    cell(
      "Began",
      job.started_at === null ? text.UNKNOWN : h("time", { datetime: job.started_at }, local(job.started_at)),
    ),
    cell("Took", tookS === null ? text.UNKNOWN : duration(tookS)),
    extraHead === null ? null : cell(extraHead, extra(job)),
  );
}
