// A confirmation dialog before what cannot be undone.

import { h } from "./dom.js";

/** Return whether the reader said yes to `question`; `action` names what a yes does. */
export function confirmed(question, { detail, action }) {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "question", "aria-describedby": "question-detail" },
    h("h2", { id: "question" }, question),
    h("p", { id: "question-detail" }, detail),
    h(
      "form",
      { method: "dialog", class: "choices" },
      h("button", { value: "no", autofocus: true }, "Keep it"),
      h("button", { value: "yes", class: "danger" }, action),
    ),
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    dialog.showModal();
  });
}
