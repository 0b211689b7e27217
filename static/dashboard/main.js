/* What the pages do beyond plain HTML, a module for each thing. Every page works without any of it. */

import "./morphing.js";
import "./clocks.js";
import "./rows.js";
import "./list.js";
import "./shortcuts.js";
import "./places.js";
import "./navigation.js";
import "./approvals.js";
import "./failures.js";
import { toast } from "./announcer.js";
import { close, isOpen } from "./dialogs.js";
import { pauseOrGoOn } from "./live.js";

document.documentElement.classList.add("js");
document.querySelector("main [data-focus]")?.focus();

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-close], [data-live], [data-copy], [data-copy-from]");
  if (!target) return;
  if (target.hasAttribute("data-close") && isOpen()) {
    event.preventDefault();
    close();
  } else if (target.hasAttribute("data-live")) {
    pauseOrGoOn();
  } else {
    const text = target.dataset.copy ?? document.getElementById(target.dataset.copyFrom).textContent;
    navigator.clipboard?.writeText(text).then(() => toast("Copied"));
  }
});
document.addEventListener("dash:done", (event) => toast(event.detail.message));
