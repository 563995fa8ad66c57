// Tables that scroll sideways where they must, and that a phone shows as one block a row.

import { h } from "./dom.js";

/**
 * Return a table of `rows`, which are `tr` elements. `caption` says what it holds, to those who cannot see it;
 * `heads` are the names of its columns, empty for one without a name.
 */
export function table({ caption, heads, rows, kind = "stacks" }) {
  const head = (name) => (name === "" ? h("td") : h("th", { scope: "col" }, name));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      { class: kind },
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map(head))),
      h("tbody", {}, rows),
    ),
  );
}

/** Return a cell of the column `head`, whose name it bears where the table is stacked. */
export function cell(head, ...content) {
  return h("td", { "data-head": head }, h("div", {}, content));
}

/** Return a smaller line below a figure; null without words. */
export function sub(words) {
  return words ? h("span", { class: "sub" }, words) : null;
}
