/* Coming back to a page puts the focus where the reader left it: on the link that was followed. */

const KEY = "focused";

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[id][href]");
  if (!link || link.hasAttribute("hx-get")) return;
  history.replaceState({ ...history.state, [KEY]: link.id }, "");
});

addEventListener("pageshow", () => {
  const left = history.state?.[KEY];
  const [visit] = performance.getEntriesByType("navigation");
  if (left && visit?.type === "back_forward") document.getElementById(left)?.focus();
});
