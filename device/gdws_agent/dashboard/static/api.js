// Requests to the agent that served the page. Addresses are relative, so that a proxy may put it below a path.

/** The agent did not answer. */
export class Unreachable extends Error {}

/** The agent answered with a problem document (RFC 9457); `code` is the end of its type. */
export class Refused extends Error {
  constructor(status, problem, retryAfterS) {
    super(problem.detail ?? problem.title ?? `the agent answered with status ${status}`);
    this.status = status;
    this.code = (problem.type ?? "").replace("urn:gdws:problem:", "");
    this.hint = problem.hint ?? null;
    this.retryAfterS = retryAfterS;
  }
}

/** What the page knows of its agent: how to ask it, with which token, and who wants to hear how that went. */
export class Agent {
  /** `onOutcome` is called after each request with null, or with what went wrong. */
  constructor({ token = null, onOutcome = () => {} } = {}) {
    this.token = token;
    this.onOutcome = onOutcome;
  }

  /** Return the JSON of `GET path`. Throws Unreachable and Refused. */
  async get(path, { signal } = {}) {
    return this.#json(await this.#send(path, { signal }));
  }

  /** Cancel a job and return it as it ended. */
  async cancel(jobId) {
    return this.#json(await this.#send(`jobs/${encodeURIComponent(jobId)}`, { method: "DELETE" }));
  }

  /** Return the body of an event stream, behind the event `lastId` where there is one. */
  async stream(path, { signal, lastId = null } = {}) {
    const headers = { accept: "text/event-stream", ...(lastId === null ? {} : { "last-event-id": lastId }) };
    return (await this.#send(path, { signal, headers })).body;
  }

  async #send(path, { method = "GET", headers = {}, signal } = {}) {
    const token = this.token === null ? {} : { authorization: `Bearer ${this.token}` };
    let response;
    try {
      response = await fetch(path, { method, headers: { ...headers, ...token }, signal, cache: "no-store" });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw this.#failed(new Unreachable("the agent does not answer"));
    }
    if (response.ok) {
      this.onOutcome(null);
      return response;
    }
    const problem = await response.json().catch(() => ({}));
    throw this.#failed(new Refused(response.status, problem, Number(response.headers.get("retry-after")) || null));
  }

  async #json(response) {
    try {
      return await response.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw this.#failed(new Unreachable("the agent's answer broke off"));
    }
  }

  #failed(error) {
    this.onOutcome(error);
    return error;
  }
}
