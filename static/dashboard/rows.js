/* Rows that changed in place are marked for a moment, and counted for those who can't see it, who also hear of a new
   status of the instance. */

import { announce } from "./announcer.js";

const read = () => new Map([...document.querySelectorAll("tr[data-version]")].map((row) => [row.id, row.dataset.version]));
let versions = read();

const status = () => document.querySelector("#head .badge")?.textContent.trim();
let known = status();

document.addEventListener("htmx:afterSettle", () => {
  const fresh = read();
  const ids = [...fresh.keys()].filter((id) => versions.has(id) && versions.get(id) !== fresh.get(id));
  ids.forEach((id) => document.getElementById(id).classList.add("changed"));
  if (ids.length) announce(ids.length === 1 ? "1 instance changed" : `${ids.length} instances changed`);
  versions = fresh;
  const now = status();
  if (known && now && now !== known) announce(`The instance is ${now} now`, true);
  known = now;
});
