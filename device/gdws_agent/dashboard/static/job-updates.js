// Updates of a job: by its event stream, and by polling where no stream is to be had.

import { Refused, Unreachable } from "./api.js";
import { readEvents } from "./events.js";
import { isFinal } from "./jobs.js";
import { backoff_s, pause } from "./waiting.js";

const POLL_S = 5;
/** The agent sends a keep-alive every 15 s; a stream that is silent for longer is dead. */
const MAX_SILENCE_S = 35;

/**
 * Yield the job of that id whenever something is new about it, its cells and the time left (`ends_in_s`) included,
 * until it has ended. Throws Refused when there is no such job or no access.
 */
export async function* jobUpdates(agent, jobId, signal) {
  const path = `jobs/${encodeURIComponent(jobId)}`;
  const known = { job: null, cells: [] };
  let failures = 0;
  for (;;) {
    try {
      for await (const job of streamed(agent, path, known, signal)) {
        failures = 0;
        yield job;
        if (isFinal(job)) return;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Refused && !isTemporary(error)) throw error;
    }
    // The stream ended before its job, or there is none: poll, and try again.
    failures += 1;
    const job = await polled(agent, path, known, signal);
    if (job !== null) {
      yield job;
      if (isFinal(job)) return;
    }
    await pause(Math.min(POLL_S, backoff_s(failures)), signal);
  }
}

async function* streamed(agent, path, known, signal) {
  const silence = new AbortController();
  const startTimer = () => setTimeout(() => silence.abort(new Unreachable("the stream fell silent")), 1_000 * MAX_SILENCE_S);
  let timer = startTimer();
  try {
    const lastId = known.cells.length > 0 ? String(known.cells.length) : null;
    const body = await agent.stream(`${path}/events`, { signal: AbortSignal.any([signal, silence.signal]), lastId });
    for await (const event of readEvents(body)) {
      clearTimeout(timer);
      timer = startTimer();
      if (event !== null && take(known, event)) yield { ...known.job, cells: [...known.cells] };
    }
  } finally {
    clearTimeout(timer);
  }
}

async function polled(agent, path, known, signal) {
  try {
    const job = await agent.get(path, { signal });
    known.cells = job.cells;
    known.job = { ...job, ends_in_s: job.estimate?.ends_in_s ?? null };
    return known.job;
  } catch (error) {
    if (error instanceof Unreachable || isTemporary(error)) return null;
    throw error;
  }
}

/** Whether a refusal is about the moment: too many streams, or a disk that does not serve. */
function isTemporary(error) {
  return error.status === 429 || error.status >= 500;
}

/** Take note of an event, and return whether the job can be shown: its cells come before its state. */
function take(known, { event, id, data }) {
  if (event === "cell") known.cells[Number(id) - 1] = data;
  else if (event === "progress") {
    const { ends_in_s, ...progress } = data;
    known.job = { ...known.job, progress, ends_in_s };
  } else if (event === "state" || event === "end") {
    known.job = { ...data, ends_in_s: data.estimate?.ends_in_s ?? null };
  }
  return known.job !== null;
}
