// Before anything is drawn: the colours that the reader chose, so that a dark page does not flash white.
try {
  const chosen = localStorage.getItem("gdws-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's colours hold.
}
