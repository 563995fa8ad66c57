// Points in time and durations in words.

const DAY_S = 86_400;

/** `8 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < DAY_S)
    return `${Math.floor(whole / 3_600)} h ${String(Math.floor((whole % 3_600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / DAY_S)} d ${Math.floor((whole % DAY_S) / 3_600)} h`;
}

/** A remaining time, no finer than an estimate is: `a moment`, `about 20 s`, `about 4 min`, `about 2 h 10 min`. */
export function remaining(seconds) {
  if (seconds < 5) return "a moment";
  if (seconds < 100) return `about ${Math.round(seconds / 5) * 5} s`;
  if (seconds < 6_000) return `about ${Math.round(seconds / 60)} min`;
  return `about ${duration(Math.round(seconds / 600) * 600)}`;
}

/** The time from one ISO 8601 point to another in seconds; null where one is missing. */
export function between(from, to) {
  return from && to ? (Date.parse(to) - Date.parse(from)) / 1_000 : null;
}

/** A point in the reader's own time zone: `2026-01-31 14:05`. */
export function local(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;
}

/** The time of day: `14:05`. */
export function clock(date) {
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

function two(number) {
  return String(number).padStart(2, "0");
}
