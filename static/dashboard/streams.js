/* Server-sent events. Browsers open six connections to a host over HTTP/1.1 and hang at the seventh, so that all windows
of a browser together keep no more than a few streams; the others ask again and again. Which ones, is settled by locks,
which a window gives up when it is closed. */

const STREAMS = 3;

export const canStream = () =>
  document.body.hasAttribute("data-stream") && "locks" in navigator && "EventSource" in window;

// The function that gives the place up, or null where all are taken.
function takePlace(number) {
  return new Promise((settle) => {
    navigator.locks.request(`dash-stream-${number}`, { ifAvailable: true }, (lock) => {
      if (!lock) return settle(null);
      return new Promise((giveUp) => settle(giveUp));
    });
  });
}

// An open stream as { close }, or null where this window should ask again and again.
export async function openStream(address, { onOpen, onChange, onEnd }) {
  if (!canStream()) return null;
  let giveUp = null;
  for (let number = 0; number < STREAMS && !giveUp; number += 1) giveUp = await takePlace(number);
  if (!giveUp) return null;
  const source = new EventSource(address);
  const close = () => {
    source.close();
    giveUp();
  };
  source.onopen = onOpen;
  source.onmessage = (event) => onChange(JSON.parse(event.data));
  source.onerror = () => {
    close();
    onEnd();
  };
  return { close };
}
