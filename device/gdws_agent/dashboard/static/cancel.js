// The button that cancels a job.

import { confirmed } from "./confirm.js";
import { h } from "./dom.js";
import { title } from "./jobs.js";

const WHY_NOT = "Only the full token allows this; you came with the read-only one.";

/** Return the button for `job`; with the read-only token it stays where it is and says why it does nothing. */
export function cancelButton(page, job) {
  const name = `Cancel ${title(job)}`;
  if (page.access !== "full") {
    const blocked = {
      type: "button",
      class: "quiet",
      "aria-disabled": "true",
      title: WHY_NOT,
      "aria-label": `${name}. ${WHY_NOT}`,
    };
    return h("button", blocked, "Cancel");
  }
  const onclick = () => cancel(page, job).catch((error) => page.warn(`It was not cancelled: ${error.message}`));
  return h("button", { type: "button", class: "quiet", "aria-label": name, onclick }, "Cancel");
}

/** Return the sentence beside disabled buttons; null where they work. */
export function whyNot(page) {
  return page.access === "full" ? null : h("p", { class: "note" }, `Cancelling is off. ${WHY_NOT}`);
}

async function cancel(page, job) {
  const detail =
    job.state === "running"
      ? "It ends within two seconds. Cells that have ended are kept; the job cannot be taken up again."
      : "It leaves the queue and cannot be put back to its place.";
  if (!(await confirmed(`Cancel ${title(job)}?`, { detail, action: "Cancel the job" }))) return;
  page.warn(null);
  const ended = await page.agent.cancel(job.id);
  page.announce(`${title(job)} is ${ended.state}.`);
  page.changed();
}
