/* Questions to people: the form of one that is closed meanwhile can be read and copied, and not sent; new ones are announced. */

import { announce, announceSoon } from "./announcer.js";

const OPEN = ["open", "partly_answered", "escalated"];
const AFTER_DUE_MS = 500; // the server's clock decides; it may be a little behind

let timer = 0;
let told = "";

function follow() {
  const state = document.getElementById("state");
  clearTimeout(timer);
  if (!state) return;
  if (!OPEN.includes(state.dataset.question)) lock(state);
  const wait = Date.parse(state.dataset.due || "") - Date.now();
  if (wait > 0 && wait < 2 ** 31) timer = setTimeout(() => htmx.trigger(document.body, "dash:task"), wait + AFTER_DUE_MS);
}

function lock(state) {
  const form = document.querySelector("[data-answer]");
  const note = form?.querySelector("[data-over]");
  if (!note?.hidden) return;
  for (const control of form.elements) {
    if (control.matches("textarea, input:not([type=radio], [type=checkbox], [type=file])")) control.readOnly = true;
    else if (!control.matches("fieldset")) control.disabled = true;
  }
  note.textContent = `${state.querySelector("strong")?.textContent || "Closed"}. What you typed was not sent. You can still select and copy it.`;
  note.hidden = false;
  announce(note.textContent);
}

const newsText = () => (document.querySelector("[data-news]")?.textContent || "").replace("Show ", "");

function news() {
  const text = newsText();
  if (text && text !== told) announceSoon(newsText);
  told = text;
}

document.addEventListener("htmx:afterSettle", () => {
  follow();
  news();
});
follow();
