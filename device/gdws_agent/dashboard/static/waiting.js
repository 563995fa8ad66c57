// Waiting for a time, for the reader's eyes, and for an agent that is gone.

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
export function untilSeen(signal) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    signal.throwIfAborted();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    document.addEventListener("visibilitychange", look);
    look();
  });
}

/** Return how long to wait before the try after `failures` in a row, in seconds. */
export function backoff_s(failures) {
  return Math.min(LONGEST_S, FIRST_S * 2 ** (failures - 1));
}
