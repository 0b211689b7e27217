/* The instances list: how many rows are ticked, and the row that was opened gets the focus back. */

const boxes = () => [...document.querySelectorAll("input[name=pk][form=bulk]")];

function tell() {
  const all = boxes();
  const count = all.filter((box) => box.checked).length;
  const output = document.querySelector("[data-selected]");
  if (output) output.textContent = count ? `${count} selected` : "None selected";
  document.querySelectorAll("[data-needs-selection]").forEach((button) => (button.disabled = !count));
  const head = document.querySelector("[data-all]");
  if (!head) return;
  head.checked = count > 0 && count === all.length;
  head.indeterminate = count > 0 && count < all.length;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) boxes().forEach((box) => (box.checked = event.target.checked));
  if (event.target.matches("[data-all], input[name=pk]")) tell();
});
document.addEventListener("htmx:afterSettle", tell);

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-row]");
  if (link) history.replaceState({ ...history.state, opened: link.closest("tr").id }, "");
});
window.addEventListener("pageshow", () => {
  tell();
  const opened = history.state?.opened;
  if (opened) document.getElementById(opened)?.querySelector("a[data-row]")?.focus();
});
