// Whether the agent answers: shown in the head of the page, and announced when it changes.

import { Unreachable } from "./api.js";

export class Connection {
  #release = null;

  /** `badge` shows the state in a word, `banner` says what it means while the agent is gone. */
  constructor(badge, banner) {
    this.badge = badge;
    this.banner = banner;
  }

  /** Take note of how a request went: null, or what went wrong. */
  note(error) {
    const lost = error instanceof Unreachable;
    this.badge.dataset.state = lost ? "lost" : "live";
    this.badge.textContent = lost ? "Not answering" : "Connected";
    if (this.banner.hidden === lost) {
      this.banner.hidden = !lost;
      this.banner.textContent = lost
        ? "The agent does not answer. It may have been stopped, or the network is down. This page tries again by " +
          "itself; what it shows is as it last was."
        : "";
    }
  }

  /** Take note of the agent's release, and say so when another one took its place. */
  noteRelease(version, banner) {
    this.#release ??= version;
    banner.hidden = version === this.#release;
    banner.textContent = banner.hidden ? "" : `The agent was replaced by release ${version}. Load this page anew.`;
  }
}
