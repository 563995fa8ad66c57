// The view of all jobs, in pages, with a filter by state and a choice of two to compare.

import { h } from "./dom.js";
import { firstSteps } from "./first-steps.js";
import { jobTable } from "./job-list.js";
import { title } from "./jobs.js";
import { modelNames } from "./model-names.js";

const PAGE_SIZE = 25;
const STATES = ["done", "running", "queued", "failed", "cancelled", "interrupted"];

/** Show the page of jobs that `query` names: `cursor` where it begins, `state` which are wanted. */
export async function showResults(page, query) {
  const { agent, signal } = page;
  const asked = new URLSearchParams({ limit: String(PAGE_SIZE) });
  for (const name of ["cursor", "state"]) {
    if (query.get(name)) asked.set(name, query.get(name));
  }
  const [list, nameOf] = await Promise.all([agent.get(`jobs?${asked}`, { signal }), modelNames(page)]);
  const chosen = new Set();
  const inOrder = () => list.jobs.map((job) => job.id).filter((id) => chosen.has(id));
  const button = h("button", { type: "button", class: "primary", onclick: () => compare(inOrder()) }, "Compare");
  const note = h("p", { class: "note", role: "status" });
  const update = () => {
    button.disabled = chosen.size !== 2;
    note.textContent = chooseWords(chosen.size);
  };
  update();
  page.root.replaceChildren(
    h("h1", { tabindex: "-1" }, "Results"),
    h("div", { class: "bar" }, stateFilter(query.get("state")), h("div", { class: "choice" }, note, button)),
    list.jobs.length === 0 ? nothing(page, query) : jobTable(list.jobs, table(nameOf, chosen, update)),
    pages(query, list.next_cursor),
  );
}

function table(nameOf, chosen, update) {
  const choose = (job) => {
    const onchange = (event) => {
      if (event.target.checked) chosen.add(job.id);
      else chosen.delete(job.id);
      update();
    };
    return h("input", {
      type: "checkbox",
      "aria-label": `Compare ${title(job, nameOf(job.request.model_id))}, ${job.id}`,
      onchange,
    });
  };
  return { caption: "Jobs, the newest first", nameOf, extraHead: "Compare", extra: choose };
}

/** The older one is A, from which the comparison starts. */
function compare([newer, older]) {
  location.hash = `#/compare?${new URLSearchParams({ a: older, b: newer })}`;
}

function chooseWords(count) {
  if (count === 2) return "Two are chosen.";
  return count > 2 ? "Choose two, not more." : "Choose two to compare.";
}

function stateFilter(state) {
  const onchange = (event) => {
    location.hash = event.target.value === "" ? "#/results" : `#/results?state=${event.target.value}`;
  };
  const options = [["", "all"], ...STATES.map((each) => [each, each])];
  return h(
    "label",
    {},
    "State ",
    h(
      "select",
      { onchange },
      options.map(([value, word]) => h("option", { value, selected: value === (state ?? "") }, word)),
    ),
  );
}

function pages(query, next) {
  const link = (cursor, word) => {
    const target = new URLSearchParams(query);
    if (cursor === null) target.delete("cursor");
    else target.set("cursor", cursor);
    return h("a", { href: `#/results?${target}` }, word);
  };
  return h(
    "nav",
    { class: "pages", "aria-label": "Pages of results" },
    query.get("cursor") ? link(null, "Newest") : null,
    next === null ? null : link(next, "Older"),
  );
}

function nothing(page, query) {
  if (query.get("cursor") || query.get("state")) return h("p", { class: "note" }, "There is none.");
  return firstSteps(page, "Nothing has been measured here yet. Send a bundle:");
}
