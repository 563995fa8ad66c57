// The running job: its progress, and its cells as they end.

import { cancelButton, whyNot } from "./cancel.js";
import { cellGrid } from "./cell-grid.js";
import { h } from "./dom.js";
import { stageWord, title } from "./jobs.js";
import { jobLink } from "./router.js";
import { clock, remaining } from "./times.js";
import * as text from "./text.js";

/** Return what is shown of a running `job`. */
export function jobPanel(page, job, modelName) {
  const name = title(job, modelName);
  return h(
    "div",
    { class: "card", "data-key": job.id },
    h(
      "div",
      { class: "card-head" },
      h("h3", {}, h("a", { href: jobLink(job.id) }, name), h("span", { class: "sub mono" }, job.id)),
      cancelButton(page, job),
    ),
    whyNot(page),
    progressBar(job, name),
    cellGrid(job),
  );
}

/** Return the bar of a job that has not ended, with what happens now and the time left. */
export function progressBar(job, name) {
  const { cells_finished, cells_total, stage } = job.progress;
  const now = stage ? `, ${cellWords(job.progress)}${stageWord(stage)}` : "";
  return h(
    "div",
    { class: "progress" },
    h("progress", { max: cells_total, value: cells_finished, "aria-label": `Progress of ${name}` }),
    h("p", {}, h("strong", {}, `${text.whole(cells_finished)} of ${text.plural(cells_total, "cell")}`), now),
    h("p", { class: "note" }, leftWords(job.ends_in_s ?? job.estimate?.ends_in_s ?? null)),
  );
}

function cellWords({ cell }) {
  return cell ? `${cell.variant} at batch ${cell.batch_size}: ` : "";
}

function leftWords(seconds) {
  if (seconds === null) return "when it ends is not known";
  return `${remaining(seconds)} left, until ${clock(new Date(Date.now() + 1_000 * seconds))}`;
}
