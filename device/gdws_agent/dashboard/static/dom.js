// Elements made from plain values. Texts become text nodes, so no name in a bundle or a request is read as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an HTML element. `properties`: attributes, and functions such as `onclick`; null, undefined and false are
 * left out, true is an empty attribute. `children`: elements, texts, numbers and lists of these; null is left out.
 */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Return an SVG element, as {@link h} does. */
export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}
