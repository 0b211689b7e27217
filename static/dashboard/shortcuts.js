/* Single keys as shortcuts, for those who have not turned them off. They do nothing while something is typed. */

const PLACES = { i: "instances", o: "overview", a: "approvals", w: "workers" };
const SEQUENCE_MS = 1500;
let leaderAt = 0;

const rows = () => [...document.querySelectorAll("a[data-row]")];
const current = () => document.activeElement?.closest("tr")?.querySelector("a[data-row]");

function step(by) {
  const links = rows();
  const place = links.indexOf(current());
  const next = links[place < 0 ? 0 : Math.min(Math.max(place + by, 0), links.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function go(place) {
  const link = place && document.querySelector(`.nav a[data-place="${place}"]`);
  if (link) location.assign(link.href);
  return Boolean(link);
}

const KEYS = {
  "/": () => document.getElementById("goto")?.focus(),
  "?": () => document.getElementById("shortcuts")?.showModal(),
  g: () => (leaderAt = Date.now()),
  j: () => step(1),
  k: () => step(-1),
  o: () => current()?.click(),
  x: () => current()?.closest("tr").querySelector("input[name=pk]")?.click(),
};

function isTyping(target) {
  return target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], dialog[open]");
}

document.addEventListener("keydown", (event) => {
  if (!("shortcuts" in document.body.dataset)) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
  const isSecond = Date.now() - leaderAt < SEQUENCE_MS;
  leaderAt = 0;
  if (isSecond && go(PLACES[event.key])) return event.preventDefault();
  const act = KEYS[event.key];
  if (!act || (document.querySelector("dialog[open]") && event.key !== "?")) return;
  event.preventDefault();
  act();
});
