// Updates the page in place to what it should show: focus, scrolling and what the reader opened stay.

const HANDLERS = ["onclick", "onchange", "onsubmit"];
/** Attributes that are the reader's once the element is on the page. */
const THEIRS = new Set(["open"]);

/** Make the children of `parent` those given; elements of the same tag and `data-key` are kept and updated. */
export function render(parent, ...children) {
  const wanted = document.createDocumentFragment();
  wanted.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  matchChildren(parent, wanted);
}

function matchChildren(parent, wanted) {
  const keys = new Set([...wanted.children].map((child) => child.dataset.key));
  for (const child of [...parent.children]) {
    if (child.dataset.key !== undefined && !keys.has(child.dataset.key)) child.remove();
  }
  let current = parent.firstChild;
  for (const child of [...wanted.childNodes]) {
    if (current !== null && isSame(current, child)) {
      update(current, child);
      current = current.nextSibling;
    } else {
      const kept = laterMatch(current, child);
      parent.insertBefore(kept ?? child, current);
      if (kept !== null) update(kept, child);
    }
  }
  while (current !== null) {
    const next = current.nextSibling;
    current.remove();
    current = next;
  }
}

/** The element further on that bears the key of `child`; null without a key. */
function laterMatch(from, child) {
  if (child.dataset?.key === undefined) return null;
  for (let node = from; node !== null; node = node.nextSibling) {
    if (isSame(node, child)) return node;
  }
  return null;
}

function isSame(current, wanted) {
  return current.nodeName === wanted.nodeName && current.dataset?.key === wanted.dataset?.key;
}

function update(current, wanted) {
  if (current.nodeType === Node.TEXT_NODE) {
    if (current.data !== wanted.data) current.data = wanted.data;
    return;
  }
  for (const { name } of [...current.attributes]) {
    if (!wanted.hasAttribute(name) && !THEIRS.has(name)) current.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (current.getAttribute(name) !== value && !THEIRS.has(name)) current.setAttribute(name, value);
  }
  for (const handler of HANDLERS) current[handler] = wanted[handler];
  matchChildren(current, wanted);
}
