// The view of the device: its readings, the job that runs, the queue, the latest results.

import { devicePanel, deviceName } from "./device-panel.js";
import { h } from "./dom.js";
import { firstSteps } from "./first-steps.js";
import { jobUpdates } from "./job-updates.js";
import { jobPanel } from "./job-panel.js";
import { jobTable } from "./job-list.js";
import { isFinal, title } from "./jobs.js";
import { liveTiles } from "./live-tiles.js";
import { modelNames } from "./model-names.js";
import { repeat } from "./polling.js";
import { queuePanel } from "./queue-panel.js";
import { render } from "./render.js";

const LIVE_S = 2;
const QUEUE_S = 3;
const HEALTH_S = 15;
const SHOWN_WAITING = 20;
const SHOWN_RESULTS = 5;

/** Show the view, and keep it up to date until its signal is aborted. */
export async function showOverview(page) {
  const { agent, signal } = page;
  const [device, nameOf] = await Promise.all([agent.get("device", { signal }), modelNames(page)]);
  const view = new Overview(page, device, nameOf);
  await view.refresh();
  const options = { signal, onError: page.onError };
  repeat(() => view.readLive(), LIVE_S, options);
  repeat(() => view.refresh(), QUEUE_S, options);
  repeat(() => view.readHealth(), HEALTH_S, options);
  window.addEventListener("gdws-changed", () => view.refresh().catch(page.onError), { signal });
}

class Overview {
  #page;
  #nameOf;
  #parts;
  #running = null;
  #current = null;
  #readings = null;
  #newest = null;

  constructor(page, device, nameOf) {
    this.#page = page;
    this.#nameOf = nameOf;
    this.#parts = layOut(page.root, device);
    render(this.#parts.device, devicePanel(device));
    this.#showNotices(device.notices);
  }

  async readLive() {
    this.#readings = await this.#page.agent.get("device/live", { signal: this.#page.signal });
    this.#page.history.add(this.#readings);
    this.#showLive();
  }

  async readHealth() {
    const health = await this.#page.agent.get("healthz", { signal: this.#page.signal });
    this.#page.noteRelease(health);
    this.#showNotices(health.notices ?? []);
  }

  /** Read the queue, and the results where a job has come or gone. */
  async refresh() {
    const { agent, signal } = this.#page;
    const queue = await agent.get(`queue?limit=${SHOWN_WAITING}`, { signal });
    const jobs = await agent.get(`jobs?limit=${SHOWN_RESULTS + SHOWN_WAITING}`, { signal });
    await this.#learnNames([...queue.queued, ...jobs.jobs]);
    render(this.#parts.queue, queuePanel(this.#page, queue, this.#nameOf));
    this.#showResults(jobs.jobs.filter(isFinal).slice(0, SHOWN_RESULTS));
    if (queue.running === null) this.#showIdle(queue.queued_total, jobs.jobs.length === 0);
    else this.#update(queue.running);
  }

  /** A bundle that came since the page was opened has a name, too. */
  async #learnNames(jobs) {
    const newest = jobs.find((job) => this.#nameOf(job.request.model_id) === null)?.request.model_id ?? null;
    if (newest === null || newest === this.#newest) return;
    this.#newest = newest;
    this.#nameOf = await modelNames(this.#page);
  }

  async #update(job) {
    if (this.#current === job.id) return;
    this.#current = job.id;
    this.#showRunning(job);
    try {
      for await (const now of jobUpdates(this.#page.agent, job.id, this.#page.signal)) {
        if (this.#current !== job.id) return;
        if (now.cells.length > (this.#running?.cells.length ?? 0)) this.#tellCell(now);
        this.#showRunning(now);
      }
      if (this.#current === job.id) this.#current = null;
      this.#page.announce(`${title(job)} has ended.`);
      await this.refresh();
    } catch (error) {
      this.#page.onError(error);
    }
  }

  #tellCell(job) {
    this.#page.announce(`${title(job)}: ${job.cells.length} of ${job.progress.cells_total} cells have ended.`);
  }

  #showRunning(job) {
    this.#running = job;
    render(this.#parts.running, jobPanel(this.#page, job, this.#nameOf(job.request.model_id)));
  }

  #showIdle(waiting, isNew) {
    this.#running = null;
    this.#current = null;
    const words = isNew ? "Nothing has been measured here yet. Send a bundle:" : "The device is idle. Send it a bundle:";
    const idle =
      waiting > 0 ? h("p", { class: "note" }, "No job is running.") : firstSteps(this.#page, words);
    render(this.#parts.running, idle);
  }

  #showResults(jobs) {
    const caption = "Jobs that ended last";
    const none = h("p", { class: "note" }, "Results appear here when a job has ended.");
    const all = h("p", {}, h("a", { href: "#/results" }, "All results"));
    render(this.#parts.results, jobs.length === 0 ? none : [jobTable(jobs, { caption, nameOf: this.#nameOf }), all]);
  }

  #showLive() {
    render(this.#parts.live, liveTiles(this.#readings, this.#page.history, this.#running));
  }

  #showNotices(notices) {
    const note = ({ code, detail, hint }) =>
      h("p", { class: "banner", "data-key": code }, detail, hint ? ` ${hint}` : null);
    render(this.#parts.notices, notices.map(note));
  }
}

/** Make the sections of the view in `root` and return those that are filled later. */
function layOut(root, device) {
  const part = (name, heading) => {
    const body = h("div", {});
    return [
      body,
      h(
        "section",
        { class: `part ${name}`, "aria-labelledby": `${name}-head` },
        h("h2", { id: `${name}-head` }, heading),
        body,
      ),
    ];
  };
  const notices = h("div", {});
  const [live, liveSection] = part("live", "Right now");
  const [running, runningSection] = part("running", "Running job");
  const [queue, queueSection] = part("queue", "Queue");
  const [results, resultsSection] = part("results", "Latest results");
  const [about, aboutSection] = part("about", "This device");
  root.replaceChildren(
    h(
      "h1",
      { tabindex: "-1" },
      deviceName(device),
      device.simulated ? h("span", { class: "mark" }, "simulated") : null,
    ),
    h("p", { class: "lead" }, leadWords(device)),
    notices,
    liveSection,
    h(
      "div",
      { class: "columns" },
      h("div", {}, runningSection, queueSection, resultsSection),
      h("div", {}, aboutSection),
    ),
  );
  return { notices, live, running, queue, results, device: about };
}

function leadWords(device) {
  const words = [
    device.board === null ? null : device.hostname,
    device.cpu_model,
    device.l4t === null ? device.os : `L4T ${device.l4t}`,
  ];
  return words.filter(Boolean).join(" · ");
}
