// Light, dark, or as the system: a button that switches between them.

const ORDER = ["system", "light", "dark"];
const KEY = "gdws-theme";

/** Make `button` choose the colours of the page; the choice outlives the visit where the browser keeps it. */
export function offerThemes(button) {
  const root = document.documentElement;
  const show = () => {
    const now = root.dataset.theme ?? "system";
    button.textContent = `Theme: ${now}`;
  };
  button.onclick = () => {
    const next = ORDER[(ORDER.indexOf(root.dataset.theme ?? "system") + 1) % ORDER.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    keep(next);
    show();
  };
  show();
}

function keep(theme) {
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // The choice then holds for this visit.
  }
}
