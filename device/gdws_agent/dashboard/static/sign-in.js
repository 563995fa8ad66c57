// The form for the access token.

import { h } from "./dom.js";

/**
 * Show the form in `root`. `reason`: why it is asked for, where that is not plain. `onToken` is given each token that
 * is entered, and returns why it does not do, or null.
 */
export function showSignIn(root, { reason = null, onToken }) {
  const problem = h("p", { id: "token-problem", class: "problem", role: "alert" }, reason);
  const input = h("input", {
    id: "token",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "token-help token-problem",
  });
  const button = h("button", { type: "submit", class: "primary" }, "Open the dashboard");
  const onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = (await onToken(input.value.trim())) ?? "";
    button.disabled = false;
    input.select();
  };
  root.replaceChildren(
    h(
      "section",
      { class: "sign-in card" },
      h("h1", { tabindex: "-1" }, "This agent needs an access token"),
      h("form", { onsubmit }, h("label", { for: "token" }, "Access token"), input, problem, button),
      h(
        "p",
        { id: "token-help", class: "note" },
        "The agent printed two at its first start and keeps them in its data folder, in the files ",
        h("code", {}, "token"),
        " and ",
        h("code", {}, "read-token"),
        ". With the read-only one you see everything and change nothing. This tab forgets it when you close it.",
      ),
    ),
  );
  input.focus();
}
