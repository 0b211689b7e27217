/* What the pages do beyond plain HTML: live updates by ticks, dialogs, and clocks that run. Every page works without it. */
(() => {
  "use strict";

  const IDLE_AFTER_MS = 10 * 60 * 1000; // without input a page asks less often
  const IDLE_INTERVAL_MS = 30 * 1000;
  const LONGEST_BACKOFF_MS = 60 * 1000;
  const FAILURES_BEFORE_BANNER = 2;
  const ANNOUNCE_EVERY_MS = 5000;
  const TOAST_MS = 6000;

  const find = (selector) => document.querySelector(selector);

  // Morphing keeps what the reader has opened, ticked or typed: see data-keep.
  Idiomorph.defaults.ignoreActiveValue = true;
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) =>
    !(old.nodeType === Node.ELEMENT_NODE && old.hasAttribute("data-keep") && old.id !== "" && old.id === fresh.id);
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !((name === "open" && node.tagName === "DETAILS") || (name === "checked" && node.tagName === "INPUT"));

  // Announcements: one polite region, at most one message in five seconds.
  let announcedAt = 0;
  function announce(text, isUrgent = false) {
    const now = Date.now();
    if (!isUrgent && now - announcedAt < ANNOUNCE_EVERY_MS) return;
    announcedAt = now;
    find("#announcer").textContent = text;
  }

  function toast(text) {
    document.querySelectorAll(".toast").forEach((old) => old.remove());
    const box = document.createElement("p");
    box.className = "toast";
    box.textContent = text;
    document.body.append(box);
    setTimeout(() => box.remove(), TOAST_MS);
    announce(text, true);
  }

  // Ticks: ask whether anything changed; the answer names the events at which regions fetch themselves anew.
  let timer = 0;
  let failures = 0;
  let lastGood = new Date();
  let isPaused = false;
  let lastInput = Date.now();

  function interval(element) {
    const usual = Number(element.dataset.interval || "5") * 1000;
    if (failures) return Math.min(usual * 2 ** (failures - 1), LONGEST_BACKOFF_MS);
    return Date.now() - lastInput > IDLE_AFTER_MS ? Math.max(usual, IDLE_INTERVAL_MS) : usual;
  }

  function schedule(soon = false) {
    clearTimeout(timer);
    const element = find("[data-tick]");
    show(element);
    if (!element || isPaused || document.hidden) return;
    timer = setTimeout(tick, soon ? 0 : interval(element));
  }

  async function tick() {
    const element = find("[data-tick]");
    if (!element) return;
    const address = new URL(element.dataset.tick, location.href);
    const topics = [...document.querySelectorAll("[data-topic]")];
    address.searchParams.set("v", topics.map((region) => region.dataset.version).join("."));
    try {
      const answer = await fetch(address, { headers: { "HX-Request": "true" }, redirect: "error", signal: AbortSignal.timeout(10000) });
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
    find("#stale")?.setAttribute("hidden", "");
  }

  function failed() {
    failures += 1;
    const banner = find("#stale");
    if (failures >= FAILURES_BEFORE_BANNER && banner && banner.hidden) {
      banner.textContent = `Stale since ${lastGood.toISOString().slice(11, 19)} UTC: the site does not answer. Trying again.`;
      banner.hidden = false;
    }
  }

  function show(element) {
    const button = find("[data-live]");
    if (!button) return;
    button.hidden = !element;
    const state = isPaused ? "paused" : failures >= FAILURES_BEFORE_BANNER ? "stale" : "live";
    button.dataset.state = state;
    button.setAttribute("aria-pressed", String(!isPaused));
    button.title = isPaused ? "Live updates are paused. Press to go on." : "This page keeps itself up to date. Press to pause.";
    find("[data-live-text]").textContent = { live: "Live", paused: "Paused", stale: "Stale" }[state];
  }

  // Clocks: durations of what goes on, and distances to deadlines, in the words of presentation/durations.py.
  const pad = (number) => String(number).padStart(2, "0");
  function duration(seconds) {
    if (seconds < 60) return `${Math.max(seconds, 0).toFixed(1)} s`;
    const days = Math.floor(seconds / 86400);
    const rest = Math.floor(seconds % 86400);
    const clock = `${pad(Math.floor(rest / 3600))}:${pad(Math.floor(rest / 60) % 60)}:${pad(rest % 60)}`;
    return days ? `${days} d ${clock}` : clock;
  }
  function roughly(seconds) {
    const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
    let rest = Math.max(Math.round(seconds), 0);
    const index = Math.max(units.findIndex(([, size]) => rest >= size), 0);
    if (rest === 0) return "0 s";
    const parts = [];
    for (const [unit, size] of units.slice(index, index + 2)) {
      if (rest >= size) parts.push(`${Math.floor(rest / size)} ${unit}`);
      rest %= size;
    }
    return parts.join(" ");
  }
  function runClocks() {
    if (document.hidden) return;
    const now = Date.now();
    document.querySelectorAll("[data-since]").forEach((element) => {
      element.textContent = duration((now - Date.parse(element.dataset.since)) / 1000);
    });
    document.querySelectorAll("[data-distance]").forEach((element) => {
      const away = (Date.parse(element.getAttribute("datetime")) - now) / 1000;
      element.textContent = away > 0 ? `in ${roughly(away)}` : `${roughly(-away)} ago`;
    });
  }

  // Rows that changed in place are marked for a moment, and counted for those who can't see it.
  let versions = new Map();
  const rowVersions = () => new Map([...document.querySelectorAll("tr[data-version]")].map((row) => [row.id, row.dataset.version]));
  function markChanges() {
    const fresh = rowVersions();
    const ids = [...fresh.keys()].filter((id) => versions.has(id) && versions.get(id) !== fresh.get(id));
    ids.forEach((id) => document.getElementById(id).classList.add("changed"));
    if (ids.length) announce(ids.length === 1 ? "1 instance changed" : `${ids.length} instances changed`);
    versions = fresh;
  }

  // Dialogs: a link with data-dialog gets its page's form into the one <dialog>.
  const dialog = () => find("#dialog");
  function dialogSwapped() {
    const box = dialog();
    if (box.firstElementChild && !box.open) box.showModal();
    (box.querySelector("[data-focus]") || box.querySelector("[autofocus]"))?.focus();
  }

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "dialog") dialogSwapped();
    if (event.detail.target.id === "results") find("#results h2")?.focus();
  });
  document.addEventListener("htmx:afterSettle", () => {
    markChanges();
    document.querySelectorAll("time[data-distance], [data-since]").length && runClocks();
    schedule();
  });
  document.addEventListener("htmx:sendError", failed);
  document.addEventListener("dash:done", (event) => {
    dialog()?.close();
    toast(event.detail.message);
    schedule(true);
  });
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-close], [data-live], [data-copy]");
    if (!target) return;
    if (target.hasAttribute("data-close") && dialog()?.open) {
      event.preventDefault();
      dialog().close();
    } else if (target.hasAttribute("data-live")) {
      isPaused = !isPaused;
      announce(isPaused ? "Live updates paused" : "Live updates on", true);
      schedule(true);
    } else if (target.hasAttribute("data-copy")) {
      navigator.clipboard?.writeText(target.dataset.copy).then(() => toast("Copied"));
    }
  });
  for (const name of ["pointerdown", "keydown"]) {
    document.addEventListener(name, () => (lastInput = Date.now()), { passive: true });
  }
  document.addEventListener("visibilitychange", () => schedule(true));

  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("js");
    dialog()?.addEventListener("close", () => dialog().replaceChildren());
    find("main [data-focus]")?.focus();
    versions = rowVersions();
    setInterval(runClocks, 1000);
    schedule();
  });
})();
