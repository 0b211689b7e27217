/* Says what happened: in a polite region for who can't see it, and as a toast for who can. */

const EVERY_MS = 5000; // at most one message in that time, but for what the reader did
const TOAST_MS = 6000;

const gathered = new Set();
let spokenAt = -EVERY_MS;
let timer = 0;

// At once: what the reader did, or must know.
export function announce(text) {
  spokenAt = performance.now();
  document.getElementById("announcer").textContent = text;
}

// Soon, in one message with all that has gathered by then: each `tell` is called when its turn comes, and says how it is.
export function announceSoon(tell) {
  gathered.add(tell);
  timer ||= setTimeout(() => {
    timer = 0;
    const texts = [...gathered].map((one) => one()).filter(Boolean);
    gathered.clear();
    if (texts.length) announce(texts.join(". "));
  }, spokenAt + EVERY_MS - performance.now());
}

export function toast(text) {
  document.querySelectorAll(".toast").forEach((old) => old.remove());
  const box = document.createElement("p");
  box.className = "toast";
  box.textContent = text;
  document.body.append(box);
  setTimeout(() => box.remove(), TOAST_MS);
  announce(text);
}
