/* Clocks that run: durations of what goes on, and distances to deadlines, in the words of presentation/durations.py. */

// The time of day of the reader, who may have chosen another zone than their computer has.
export function clockTime(instant) {
  const shown = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  try {
    return instant.toLocaleTimeString("en-GB", { ...shown, timeZone: document.body.dataset.zone });
  } catch {
    return `${instant.toISOString().slice(11, 19)} UTC`; // a zone that the browser does not know
  }
}

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
  if (rest === 0) return "0 s";
  const index = Math.max(units.findIndex(([, size]) => rest >= size), 0);
  const parts = [];
  for (const [unit, size] of units.slice(index, index + 2)) {
    if (rest >= size) parts.push(`${Math.floor(rest / size)} ${unit}`);
    rest %= size;
  }
  return parts.join(" ");
}

function run() {
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

document.addEventListener("htmx:afterSettle", run);
setInterval(run, 1000);
