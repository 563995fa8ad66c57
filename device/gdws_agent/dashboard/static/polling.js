// Polling while the page is visible.

import { Unreachable } from "./api.js";
import { backoff_s, pause, untilSeen } from "./waiting.js";

/**
 * Call `task` at once and every `periodS` seconds until `signal` is aborted. While the agent does not answer it is
 * polled less and less often. Any other error ends the polling and goes to `onError`.
 */
export async function repeat(task, periodS, { signal, onError }) {
  let failures = 0;
  try {
    for (;;) {
      try {
        await task();
        failures = 0;
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        failures += 1;
      }
      await pause(failures > 0 ? backoff_s(failures) : periodS, signal);
      await untilSeen(signal);
    }
  } catch (error) {
    if (!signal.aborted) onError(error);
  }
}
