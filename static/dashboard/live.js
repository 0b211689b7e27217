/* Live updates by ticks: asks whether anything changed; the answer names the events at which regions fetch themselves anew.

A region has data-topic and data-version; the one with data-tick says where to ask (data-interval and data-spread in
seconds and milliseconds). */

import { announce } from "./announcer.js";

const IDLE_AFTER_MS = 10 * 60 * 1000; // without input a page asks less often
const IDLE_INTERVAL_MS = 30 * 1000;
const LONGEST_BACKOFF_MS = 60 * 1000;
const LONGEST_ANSWER_MS = 10 * 1000;
const FAILURES_BEFORE_BANNER = 2;

let timer = 0;
let failures = 0;
let lastGood = new Date();
let isPaused = false;
let lastInput = Date.now();

const ticking = () => document.querySelector("[data-tick]");

function interval(element) {
  const usual = Number(element.dataset.interval || "5") * 1000;
  if (failures) return Math.min(usual * 2 ** (failures - 1), LONGEST_BACKOFF_MS);
  return Date.now() - lastInput > IDLE_AFTER_MS ? Math.max(usual, IDLE_INTERVAL_MS) : usual;
}

export function schedule(soon = false) {
  clearTimeout(timer);
  const element = ticking();
  show(element);
  if (!element || isPaused || document.hidden) return;
  timer = setTimeout(tick, soon ? 0 : interval(element));
}

async function tick() {
  const element = ticking();
  if (!element) return;
  const address = new URL(element.dataset.tick, location.href);
  const topics = [...document.querySelectorAll("[data-topic]")];
  address.searchParams.set("v", topics.map((region) => region.dataset.version).join("."));
  try {
    const answer = await fetch(address, {
      headers: { "HX-Request": "true" },
      redirect: "error",
      signal: AbortSignal.timeout(LONGEST_ANSWER_MS),
    });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    recovered();
    if (answer.status === 200) changed(element, answer.headers.get("HX-Trigger") || "{}");
  } catch {
    failed();
  }
  schedule();
}

function changed(element, names) {
  const spread = Number(element.dataset.spread || "0"); // so that a thousand browsers don't fetch at once
  for (const name of Object.keys(JSON.parse(names))) {
    setTimeout(() => htmx.trigger(document.body, name), Math.random() * spread);
  }
}

function recovered() {
  failures = 0;
  lastGood = new Date();
  document.getElementById("stale")?.setAttribute("hidden", "");
}

function failed() {
  failures += 1;
  const banner = document.getElementById("stale");
  if (failures >= FAILURES_BEFORE_BANNER && banner?.hidden) {
    banner.textContent = `Stale since ${lastGood.toISOString().slice(11, 19)} UTC: the site does not answer. Trying again.`;
    banner.hidden = false;
  }
}

function show(element) {
  const button = document.querySelector("[data-live]");
  if (!button) return;
  button.hidden = !element;
  const state = isPaused ? "paused" : failures >= FAILURES_BEFORE_BANNER ? "stale" : "live";
  button.dataset.state = state;
  button.setAttribute("aria-pressed", String(!isPaused));
  button.title = isPaused ? "Live updates are paused. Press to go on." : "This page keeps itself up to date. Press to pause.";
  button.querySelector("[data-live-text]").textContent = { live: "Live", paused: "Paused", stale: "Stale" }[state];
}

export function pauseOrGoOn() {
  isPaused = !isPaused;
  announce(isPaused ? "Live updates paused" : "Live updates on", true);
  schedule(true);
}

for (const name of ["pointerdown", "keydown"]) {
  document.addEventListener(name, () => (lastInput = Date.now()), { passive: true });
}
document.addEventListener("visibilitychange", () => schedule(true));
document.addEventListener("htmx:sendError", failed);
document.addEventListener("htmx:afterSettle", () => schedule());
document.addEventListener("dash:done", () => schedule(true));
schedule();
