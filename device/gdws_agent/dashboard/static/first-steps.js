// What to type where there is nothing to show yet.

import { h } from "./dom.js";

/** Return the lines that send a bundle to this agent; with a token where it asks for one. */
export function firstSteps(page, words) {
  const address = new URL("benchmark", location.href.split("#")[0]);
  const header = page.agent.token === null ? "" : ' -H "Authorization: Bearer $GDWS_TOKEN"';
  const line = `curl -s${header} -F bundle=@model.gdws ${address}`;
  return h(
    "div",
    { class: "empty" },
    h("p", {}, words),
    h("pre", { tabindex: "0", "aria-label": "Command that sends a bundle" }, h("code", {}, line)),
    h(
      "p",
      { class: "note" },
      "Or use ",
      h("code", {}, `gdws bench model.gdws --device ${address.href.replace(/\/benchmark$/, "")}`),
    ),
  );
}
