/* What the pages do beyond plain HTML, a module for each thing. Every page works without any of it. */

import "./morphing.js";
import "./clocks.js";
import "./rows.js";
import { toast } from "./announcer.js";
import { close, isOpen } from "./dialogs.js";
import { pauseOrGoOn } from "./live.js";

document.documentElement.classList.add("js");
document.querySelector("main [data-focus]")?.focus();

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-close], [data-live], [data-copy]");
  if (!target) return;
  if (target.hasAttribute("data-close") && isOpen()) {
    event.preventDefault();
    close();
  } else if (target.hasAttribute("data-live")) {
    pauseOrGoOn();
  } else if (target.hasAttribute("data-copy")) {
    navigator.clipboard?.writeText(target.dataset.copy).then(() => toast("Copied"));
  }
});
document.addEventListener("dash:done", (event) => toast(event.detail.message));
