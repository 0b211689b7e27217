/* Says what happened: in a polite region for who can't see it, and as a toast for who can. */

const EVERY_MS = 5000; // at most one message in that time, but for what the reader did
const TOAST_MS = 6000;

let announcedAt = 0;

export function announce(text, isUrgent = false) {
  const now = Date.now();
  if (!isUrgent && now - announcedAt < EVERY_MS) return;
  announcedAt = now;
  document.getElementById("announcer").textContent = text;
}

export function toast(text) {
  document.querySelectorAll(".toast").forEach((old) => old.remove());
  const box = document.createElement("p");
  box.className = "toast";
  box.textContent = text;
  document.body.append(box);
  setTimeout(() => box.remove(), TOAST_MS);
  announce(text, true);
}
