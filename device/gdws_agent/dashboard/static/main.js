// Puts the page together: token, connection, and which view is shown.

import { Agent, Refused, Unreachable } from "./api.js";
import { showCompare } from "./compare-view.js";
import { Connection } from "./connection.js";
import { h } from "./dom.js";
import { LiveHistory } from "./live-history.js";
import { showOverview } from "./overview.js";
import { showResult } from "./result-view.js";
import { showResults } from "./results-view.js";
import { parseRoute } from "./router.js";
import { showSignIn } from "./sign-in.js";
import { offerThemes } from "./theme.js";
import { saveToken, savedToken } from "./token.js";
import { backoff_s, pause } from "./waiting.js";

const main = document.getElementById("content");
const announcement = document.getElementById("announcement");
const refusal = document.getElementById("refusal");
const signOut = document.getElementById("sign-out");
const connection = new Connection(document.getElementById("connection"), document.getElementById("lost"));
const agent = new Agent({ token: savedToken(), onOutcome: (error) => connection.note(error) });
const history = new LiveHistory();
let leave = new AbortController();
let isFirst = true;

/** What views get of the page around them. */
function pageFor(health, signal) {
  return {
    agent,
    signal,
    history,
    root: main,
    access: health.access,
    health,
    announce: (text) => {
      announcement.textContent = text;
    },
    warn,
    changed: () => window.dispatchEvent(new Event("gdws-changed")),
    onError: (error) => showError(error, signal),
    noteRelease,
  };
}

async function open() {
  const route = parseRoute(location.hash);
  if (route === null) return;
  leave.abort();
  leave = new AbortController();
  warn(null);
  const { signal } = leave;
  markCurrent(route);
  try {
    const health = await untilHealthy(signal);
    if (health.access === undefined) {
      askForToken(agent.token === null ? null : "The agent does not know this token any more.");
      return;
    }
    signOut.hidden = agent.token === null;
    noteRelease(health);
    await show(route, pageFor(health, signal));
  } catch (error) {
    if (error instanceof Unreachable) pause(backoff_s(1), signal).then(open, () => {});
    else showError(error, signal);
  }
}

async function show({ words, query }, page) {
  const [first, second] = words;
  if (words.length === 0) await showOverview(page);
  else if (first === "results" && words.length === 1) await showResults(page, query);
  else if (first === "results" && words.length === 2) await showResult(page, second);
  else if (first === "compare" && words.length === 1) await showCompare(page, query);
  else
    page.root.replaceChildren(
      h("h1", { tabindex: "-1" }, "There is no such page"),
      h("p", {}, h("a", { href: "#/" }, "To the device")),
    );
  if (!page.signal.aborted) arrive();
}

/** Show what the agent refused; null takes it away. */
function warn(text) {
  refusal.hidden = text === null;
  refusal.textContent = text ?? "";
}

function noteRelease(health) {
  connection.noteRelease(health.agent_version, document.getElementById("upgraded"));
}

/** Ask until the agent answers. */
async function untilHealthy(signal) {
  for (let failures = 1; ; failures += 1) {
    try {
      return await agent.get("healthz", { signal });
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      await pause(backoff_s(failures), signal);
    }
  }
}

function askForToken(reason) {
  const onToken = async (token) => {
    agent.token = token;
    try {
      const health = await agent.get("healthz");
      if (health.access === undefined) return "This is not one of the agent's tokens.";
    } catch (error) {
      return error.message;
    }
    saveToken(token);
    open();
    return null;
  };
  signOut.hidden = true;
  showSignIn(main, { reason, onToken });
}

function showError(error, signal) {
  // While the agent is gone the banner says so, and what is repeated goes on when it is back.
  if (signal.aborted || error instanceof Unreachable) return;
  if (error instanceof Refused && error.status === 401) {
    leave.abort();
    askForToken("The agent does not know this token any more.");
    return;
  }
  const hint = error.hint ? h("p", {}, error.hint) : null;
  main.replaceChildren(
    h("h1", { tabindex: "-1" }, "This did not work"),
    h("p", { class: "problem", role: "alert" }, error.message),
    ...[hint].filter(Boolean),
    h("p", {}, h("a", { href: "#/" }, "To the device")),
  );
  if (!(error instanceof Refused)) console.error(error);
}

function markCurrent({ words }) {
  for (const link of document.querySelectorAll("nav a")) {
    const [first] = parseRoute(link.hash || "#/none").words;
    if (link.hash !== "" && first === words[0]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Put the reader, and a screen reader, at the head of a view that was gone to. */
function arrive() {
  const heading = main.querySelector("h1");
  document.title = `${heading?.textContent ?? "gdws"} – gdws agent`;
  if (!isFirst) heading?.focus({ preventScroll: true });
  isFirst = false;
  window.scrollTo(0, 0);
}

signOut.onclick = () => {
  saveToken(null);
  agent.token = null;
  open();
};
document.querySelector(".skip").onclick = (event) => {
  event.preventDefault();
  main.focus();
};
offerThemes(document.getElementById("theme"));
window.addEventListener("hashchange", open);
open();
