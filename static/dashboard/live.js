/* Live updates. A region says what it shows and in which version (data-watch="instances:5a1f,newer:90c2"); the element
with data-tick names the address that knows of changes. It is asked again and again, or, where the site can (data-stream
on <body>), keeps one answer open. What changed is fired as an event, dash:<name>, at which regions fetch themselves.

A hidden page asks nothing. data-interval is in seconds, data-spread in milliseconds. */

import { announce } from "./announcer.js";
import { clockTime } from "./clocks.js";
import { isSignedOut, signedOut } from "./session.js";
import { canStream, openStream } from "./streams.js";

const IDLE_AFTER_MS = 10 * 60 * 1000; // since the reader last did anything; before, who merely watches is asked for as usual
const IDLE_INTERVAL_MS = 30 * 1000;
const LONGEST_BACKOFF_MS = 60 * 1000;
const LONGEST_ANSWER_MS = 10 * 1000;
const FAILURES_BEFORE_BANNER = 2;
const QUICK_CHANGES = 3; // of one kind that are shown at once; a page that never rests is then fetched less often
const REFILL_MS = 3 * 1000;
/* Where the reader has done nothing for that long, what never rests is fetched once in that long: it is what costs the site
most. What changes now and then shows within seconds all the same, for as long as somebody watches. */
const IDLE_REFILL_MS = 60 * 1000;

let timer = 0;
let failures = 0;
let lastGood = new Date();
let isPaused = false;
let lastInput = Date.now();
let stream = null; // { address, close } while one is open

const ticking = () => document.querySelector("[data-tick]");
const isUntouchedFor = (milliseconds) => Date.now() - lastInput > milliseconds;
const watched = () => [...document.querySelectorAll("[data-watch]")].map((region) => region.dataset.watch).join(",");

export function refresh(soon = false) {
  clearTimeout(timer);
  const element = ticking();
  show(element);
  const isWanted = element && !isPaused && !document.hidden && !isSignedOut();
  if (stream && (!isWanted || stream.address !== element.dataset.tick)) {
    stream.close();
    stream = null;
  }
  if (!isWanted || stream) return;
  timer = setTimeout(ask, soon ? 0 : interval(element));
}

function interval(element) {
  const usual = Number(element.dataset.interval || "5") * 1000;
  if (failures) return Math.min(usual * 2 ** (failures - 1), LONGEST_BACKOFF_MS);
  return isUntouchedFor(IDLE_AFTER_MS) ? Math.max(usual, IDLE_INTERVAL_MS) : usual;
}

function address(element) {
  const url = new URL(element.dataset.tick, location.href);
  url.searchParams.set("v", watched());
  return url;
}

async function ask() {
  const element = ticking();
  if (!element) return;
  if (!failures && (await listen(element))) return;
  try {
    const answer = await fetch(address(element), {
      headers: { "HX-Request": "true" },
      redirect: "error",
      signal: AbortSignal.timeout(LONGEST_ANSWER_MS),
    });
    if (answer.status === 401) {
      signedOut();
      return refresh();
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    recovered();
    if (answer.status === 200) {
      const events = Object.keys(JSON.parse(answer.headers.get("HX-Trigger") || "{}"));
      changed(events.map((name) => name.replace("dash:", "")));
    }
  } catch {
    failed();
  }
  refresh();
}

async function listen(element) {
  const opened = await openStream(address(element), {
    onOpen: recovered,
    onChange: changed,
    onEnd: () => {
      stream = null;
      failed();
      refresh();
    },
  });
  if (!opened) return false;
  if (stream || isPaused || document.hidden) opened.close(); // things have changed while it was opened
  else stream = { address: element.dataset.tick, close: opened.close };
  refresh();
  return true;
}

// Each kind of change has a few tokens, which come back with time: the first changes show at once, and a hub that
// never rests costs the site no more than a page in so many seconds.
const buckets = new Map();

function changed(names) {
  names.forEach((name) => fire(name));
}

function fire(name) {
  const bucket = buckets.get(name) || { tokens: QUICK_CHANGES, at: Date.now(), timer: 0 };
  buckets.set(name, bucket);
  if (bucket.timer) return;
  const refill = isUntouchedFor(IDLE_REFILL_MS) ? IDLE_REFILL_MS : REFILL_MS;
  const now = Date.now();
  bucket.tokens = Math.min(bucket.tokens + (now - bucket.at) / refill, QUICK_CHANGES);
  bucket.at = now;
  const spread = Number(ticking()?.dataset.spread || "0"); // so that a thousand browsers don't fetch at once
  const wait = bucket.tokens >= 1 ? Math.random() * spread : (1 - bucket.tokens) * refill;
  bucket.tokens -= 1;
  bucket.timer = setTimeout(() => {
    bucket.timer = 0;
    if (!isPaused) htmx.trigger(document.body, `dash:${name}`);
  }, wait);
}

function recovered() {
  failures = 0;
  lastGood = new Date();
  document.getElementById("stale")?.setAttribute("hidden", "");
  show(ticking());
}

function failed() {
  failures += 1;
  const banner = document.getElementById("stale");
  if (failures >= FAILURES_BEFORE_BANNER && banner?.hidden) {
    banner.textContent = `Stale since ${clockTime(lastGood)}: the site does not answer. Trying again.`;
    banner.hidden = false;
  }
}

function show(element) {
  const button = document.querySelector("[data-live]");
  if (!button) return;
  button.hidden = !element;
  const state = isPaused ? "paused" : failures >= FAILURES_BEFORE_BANNER || isSignedOut() ? "stale" : "live";
  button.dataset.state = state;
  button.setAttribute("aria-pressed", String(!isPaused));
  button.title = isPaused ? "Live updates are paused. Press to go on." : "This page keeps itself up to date. Press to pause.";
  button.querySelector("[data-live-text]").textContent = { live: "Live", paused: "Paused", stale: "Stale" }[state];
}

export function pauseOrGoOn() {
  isPaused = !isPaused;
  announce(isPaused ? "Live updates paused" : "Live updates on");
  refresh(true);
}

function touched() {
  const wasIdle = isUntouchedFor(IDLE_AFTER_MS);
  lastInput = Date.now();
  if (wasIdle) refresh(true);
}

for (const name of ["pointerdown", "pointermove", "keydown", "scroll"]) {
  document.addEventListener(name, touched, { passive: true, capture: true });
}
document.addEventListener("visibilitychange", () => refresh(true));
document.addEventListener("dash:signed-in", () => refresh(true));
for (const name of ["htmx:sendError", "htmx:timeout"]) document.addEventListener(name, failed);
document.addEventListener("htmx:afterSettle", () => refresh());
document.addEventListener("dash:done", () => refresh(true));
refresh(canStream());
