// The latest readings of the device, for the sparklines in its tiles. Nothing is stored: reloading the page starts over.

const KEPT = 150;

export class LiveHistory {
  #series = new Map();

  /** Add what `readings` (GET /device/live) show, and leave a gap for what they do not. */
  add(readings) {
    const now = {
      power: readings.power.total_w,
      temperature: hottest(readings.temperatures)?.celsius ?? null,
      clock: fastest(readings.clocks)?.mhz ?? null,
      load: readings.load_average_1min,
    };
    for (const [name, value] of Object.entries(now)) {
      this.#series.set(name, [...this.series(name), value].slice(-KEPT));
    }
  }

  /** The values of `name`, the oldest first; null where there was none. */
  series(name) {
    return this.#series.get(name) ?? [];
  }
}

export function hottest(temperatures) {
  return temperatures.reduce((a, b) => (a === null || b.celsius > a.celsius ? b : a), null);
}

/** The clock to show: the GPU's where there is one. */
export function fastest(clocks) {
  return clocks.find((clock) => clock.name === "GPU") ?? clocks[0] ?? null;
}
