// Pausing, backing off, and waiting until the page is visible.

const FIRST_S = 1;
const LONGEST_S = 15;

/** Return after `seconds`; throws the signal's reason once it is aborted. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, 1_000 * seconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** Return at once where the page is seen, else when it is seen again: a hidden page leaves the device in peace. */
export async function untilSeen(signal) {
  while (document.hidden) await eventOf(document, "visibilitychange", signal);
}

/** Return once `target` has an event of that `type`; throws the signal's reason once it is aborted. */
function eventOf(target, type, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const done = new AbortController(); // takes both listeners away: a page may be open for months
    const settle = (how) => () => {
      done.abort();
      how(signal.reason);
    };
    target.addEventListener(type, settle(resolve), { signal: done.signal });
    signal.addEventListener("abort", settle(reject), { signal: done.signal });
  });
}

/** Return how long to wait before the try after `failures` in a row, in seconds. */
export function backoff_s(failures) {
  return Math.min(LONGEST_S, FIRST_S * 2 ** (failures - 1));
}
