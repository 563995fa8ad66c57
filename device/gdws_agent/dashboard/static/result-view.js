// The view of one job: while it runs, its cells as they end; then its result.

import { attackSection } from "./attacks.js";
import { cancelButton, whyNot } from "./cancel.js";
import { cellGrid } from "./cell-grid.js";
import { detailSections } from "./details.js";
import { h } from "./dom.js";
import { factsOf, isSimulated } from "./facts.js";
import { jobUpdates } from "./job-updates.js";
import { statePill } from "./job-list.js";
import { isAttack, isFinal, isProfile, title } from "./jobs.js";
import { progressBar } from "./job-panel.js";
import { layerSection } from "./layers.js";
import { optimisationSection } from "./optimisation.js";
import { plotSection, plotWidth } from "./plot-section.js";
import { render } from "./render.js";
import { saveButton } from "./save.js";
import { between, duration, local } from "./times.js";
import { verdictTables } from "./verdict-table.js";

/** Show the job of that id, and keep it up to date until it has ended. */
export async function showResult(page, jobId) {
  const { agent, signal } = page;
  const job = await agent.get(`jobs/${encodeURIComponent(jobId)}`, { signal });
  const [device, manifest, findings] = await Promise.all([
    agent.get("device", { signal }),
    manifestOf(page, job),
    findingsOf(page, job),
  ]);
  page.root.replaceChildren();
  const show = (now, found) => render(page.root, content(page, now, factsOf(now, manifest, found), device, manifest));
  show(job, findings);
  if (!isFinal(job)) stayUpToDate(page, job, findings, show);
}

async function stayUpToDate(page, job, findings, show) {
  try {
    let cells = job.cells.length;
    for await (const now of jobUpdates(page.agent, job.id, page.signal)) {
      if (now.cells.length > cells || isFinal(now)) findings = await findingsOf(page, now);
      show(now, findings);
      if (now.cells.length > cells) page.announce(`${now.cells.length} of ${now.progress.cells_total} cells have ended.`);
      cells = now.cells.length;
      if (isFinal(now)) page.announce(`${title(now)} is ${now.state}.`);
    }
  } catch (error) {
    page.onError(error);
  }
}

function findingsOf(page, job) {
  return page.agent.get(`jobs/${encodeURIComponent(job.id)}/findings`, { signal: page.signal });
}

/** The manifest of the job's bundle; null where it is no longer stored. */
async function manifestOf(page, job) {
  try {
    return await page.agent.get(`models/${job.request.model_id}/manifest`, { signal: page.signal });
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

function content(page, job, facts, device, manifest) {
  const name = title(job, manifest?.name ?? null);
  return [
    h(
      "div",
      { class: "card-head" },
      h("h1", { tabindex: "-1" }, name, isSimulated(job, device) ? h("span", { class: "mark" }, "simulated") : null),
      isFinal(job) ? actions(job, device, manifest) : cancelButton(page, job),
    ),
    h("p", { class: "lead" }, statePill(job.state), leadWords(job, manifest)),
    isFinal(job) ? null : whyNot(page),
    isSimulated(job, device)
      ? h("p", { class: "banner" }, "The device is simulated: its times and power describe no hardware.")
      : null,
    job.error
      ? h(
          "p",
          { class: "banner bad" },
          job.error.detail ?? job.error.title,
          job.error.hint ? ` ${job.error.hint}` : null,
        )
      : null,
    isFinal(job) ? null : [progressBar(job, name), cellGrid(job)],
    manifest === null
      ? h("p", { class: "note" }, "The bundle is no longer stored, so what the host knew of it is not shown.")
      : null,
    resultSections(job, facts),
    optimisationSection(manifest, plotWidth()),
    detailSections(job, device),
  ];
}

function resultSections(job, facts) {
  if (isProfile(job)) return layerSection(job);
  if (isAttack(job)) return attackSection(job, facts);
  return [verdictSection(facts), plotSection(facts), verdictTables(job, facts)];
}

function actions(job, device, manifest) {
  return h(
    "div",
    { class: "actions" },
    isAttack(job) ? null : h("a", { class: "button", href: `#/compare?b=${encodeURIComponent(job.id)}` }, "Compare"),
    manifest === null ? null : saveButton(job, device, manifest),
  );
}

function leadWords(job, manifest) {
  const took = between(job.started_at, job.finished_at);
  const words = [
    manifest === null ? null : `bundle ${manifest.name}`,
    `job ${job.id}`,
    job.started_at === null ? null : local(job.started_at),
    took === null ? null : `took ${duration(took)}`,
  ];
  return ` ${words.filter(Boolean).join(" · ")}`;
}

function verdictSection({ verdicts, at }) {
  const measured = verdicts.filter(({ setting }) => at(setting).some((each) => each.cell));
  if (measured.length === 0) return null;
  return h(
    "section",
    { class: "verdicts", "aria-label": "Verdict" },
    measured.map(({ kind, title: name, sentence }) =>
      h("p", { class: `verdict ${kind}` }, h("strong", {}, `${name}. `), sentence),
    ),
  );
}
