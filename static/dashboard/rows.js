/* Rows that changed in place are marked for a moment, and counted for those who can't see it, who also hear of a new
   status of the instance. */

import { announce, announceSoon } from "./announcer.js";

const read = () => new Map([...document.querySelectorAll("tr[data-version]")].map((row) => [row.id, row.dataset.version]));
let versions = read();

const changed = new Set(); // since it was last told

function tellChanges() {
  const count = changed.size;
  changed.clear();
  return count === 1 ? "1 instance changed" : `${count} instances changed`;
}

const status = () => document.querySelector("#head .badge")?.textContent.trim();
let known = status();

document.addEventListener("htmx:afterSettle", () => {
  const fresh = read();
  const ids = [...fresh.keys()].filter((id) => versions.has(id) && versions.get(id) !== fresh.get(id));
  ids.forEach((id) => document.getElementById(id).classList.add("changed"));
  ids.forEach((id) => changed.add(id));
  if (ids.length) announceSoon(tellChanges);
  versions = fresh;
  const now = status();
  if (known && now && now !== known) announce(`The instance is ${now} now`);
  known = now;
});
