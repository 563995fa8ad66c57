// The queue, in the order in which jobs will run, and who holds the device.

import { cancelButton } from "./cancel.js";
import { h } from "./dom.js";
import { title } from "./jobs.js";
import { jobLink } from "./router.js";
import { cell, table } from "./table.js";
import { duration, remaining } from "./times.js";
import * as text from "./text.js";

const HEADS = ["Place", "Job", "Cells", "Priority", "Starts in", "Ends in", "Cancel"];

/** Return the table of the jobs that wait. */
export function queuePanel(page, queue, nameOf) {
  const more = queue.queued_total - queue.queued.length;
  return [
    leaseNote(queue.lease),
    queue.queued.length === 0 ? h("p", { class: "note" }, "The queue is empty.") : waiting(page, queue.queued, nameOf),
    more > 0 ? h("p", { class: "note" }, `and ${text.plural(more, "more job")}`) : null,
  ];
}

function waiting(page, jobs, nameOf) {
  const rows = jobs.map((job) => row(page, job, nameOf(job.request.model_id)));
  return table({ caption: "Jobs that wait, the next first", heads: HEADS, rows });
}

function row(page, job, modelName) {
  return h(
    "tr",
    { "data-key": job.id },
    cell("Place", text.whole(job.queue_position === null ? null : job.queue_position + 1)),
    h(
      "th",
      { scope: "row" },
      h("a", { href: jobLink(job.id) }, title(job, modelName)),
      h("span", { class: "sub mono" }, holderWords(job)),
    ),
    cell("Cells", text.whole(job.progress.cells_total)),
    cell("Priority", String(job.request.priority ?? 0)),
    cell("Starts in", inWords(job, job.estimate?.starts_in_s)),
    cell("Ends in", inWords(job, job.estimate?.ends_in_s)),
    cell("Cancel", cancelButton(page, job)),
  );
}

function holderWords(job) {
  return job.lease_holder === null ? job.id : `${job.id}, sent by ${job.lease_holder}`;
}

function inWords(job, seconds) {
  if (job.waits_for_lease) return "after the lease";
  return seconds === null || seconds === undefined ? text.UNKNOWN : remaining(seconds);
}

function leaseNote(lease) {
  if (lease === null) return null;
  const note = lease.note === null ? "" : ` (${lease.note})`;
  return h(
    "p",
    { class: "lease" },
    h("strong", {}, lease.holder),
    `${note} holds the device for another ${duration(lease.expires_in_s)}; only jobs of this lease begin.`,
  );
}
