/* What a request of htmx's met with instead of an answer is said where the answer would have gone: what failed, when, the
request's id for whoever reads the log, and a button that tries again. What a region fetches by itself and the site does
not answer at all is told by the banner of live.js. */

import { clockTime } from "./clocks.js";
import { askToSignIn } from "./session.js";

const BY_ITSELF = ["dash:", "load", "htmx:"]; // how the events begin that no reader caused
const NO_PLACE = "datalist, span"; // suggestions and counts: nobody misses them
const IN_TABLES = "table, thead, tbody, tr";
const WORDS = {
  403: "You may not do that.",
  404: "That is not there any more.",
  429: "That was asked too often. Wait a moment.",
  503: "The site is too busy, or being restarted.",
};
const UNKNOWN = "Whether it was done is not known: look before you try again.";

const boxes = new Map(); // by the element that asked

const config = (detail) => detail.requestConfig;
const isByItself = (detail) => BY_ITSELF.some((start) => config(detail).triggeringEvent?.type.startsWith(start));

// The site's own words: every page of an error has a sentence or two.
function told(xhr) {
  if (!/html/.test(xhr.getResponseHeader("Content-Type") || "")) return "";
  const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
  return page.querySelector("main h1 + p")?.textContent.trim() || "";
}

function refusal(detail) {
  const { status } = detail.xhr;
  const said = told(detail.xhr) || WORDS[status] || (status >= 500 ? "The site failed at this." : "The site refused this.");
  return status >= 500 && config(detail).verb !== "get" ? `${said} ${UNKNOWN}` : said;
}

function silence(detail, words) {
  return config(detail).verb === "get" ? words : `${words} ${UNKNOWN}`;
}

function element(name, { text = "", ...properties } = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(text, ...children);
  return made;
}

function button(text, press) {
  const made = element("button", { type: "button", className: "button", text });
  made.addEventListener("click", press);
  return made;
}

function fill(box, detail, sentence) {
  const id = detail.xhr.getResponseHeader("X-Request-ID");
  const status = detail.xhr.status ? `, status ${detail.xhr.status}` : "";
  const line = element("p", { className: "small", text: `At ${clockTime(new Date())}${status}` });
  if (id) line.append(", request ", element("span", { className: "mono", text: id }));
  const again = button("Try again", () => {
    again.disabled = true;
    const { verb, path, triggeringEvent } = config(detail);
    htmx.ajax(verb, path, { source: detail.elt, target: detail.target, event: triggeringEvent });
  });
  box.replaceChildren(element("p", { text: sentence }), line, element("div", { className: "line" }, [again]));
  return again;
}

// In a dialog that could not be opened the words stand alone; else they stand before what the answer would have changed.
function place(box, target) {
  const dialog = document.getElementById("dialog");
  if (target === dialog && !dialog.firstElementChild) {
    const title = element("h2", { id: "dialog-title", text: "That could not be opened" });
    const close = element("button", { type: "button", className: "button", text: "Close" });
    close.dataset.close = "";
    dialog.replaceChildren(element("div", { className: "stack" }, [title, box, close]));
    dialog.showModal();
  } else if (target === dialog) {
    dialog.querySelector("#dialog-title").after(box);
  } else if (target.matches(IN_TABLES)) {
    (target.closest(".scroll") || target.closest("table")).before(box);
  } else {
    target.prepend(box);
  }
}

function tell(detail, sentence) {
  if (!detail.target?.isConnected || detail.target.matches(NO_PLACE)) return;
  const old = boxes.get(detail.elt);
  if (old?.isConnected && isByItself(detail)) return; // it has been said, and since when
  const box = old?.isConnected ? old : element("div", { className: "errors failure stack-small", role: "alert" });
  const hadFocus = box.contains(document.activeElement) || document.activeElement === document.body;
  const again = fill(box, detail, sentence);
  boxes.set(detail.elt, box);
  if (!box.isConnected) place(box, detail.target);
  if (!isByItself(detail) && (hadFocus || box.closest("dialog"))) again.focus();
}

document.addEventListener("htmx:responseError", ({ detail }) => {
  if (detail.xhr.status === 401) askToSignIn(detail);
  else tell(detail, refusal(detail));
});
document.addEventListener("htmx:timeout", ({ detail }) => {
  if (!isByItself(detail)) tell(detail, silence(detail, "The site did not answer in time."));
});
document.addEventListener("htmx:sendError", ({ detail }) => {
  if (!isByItself(detail)) tell(detail, silence(detail, "The site could not be reached."));
});
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.successful) return;
  boxes.get(detail.elt)?.remove();
  boxes.delete(detail.elt);
});
