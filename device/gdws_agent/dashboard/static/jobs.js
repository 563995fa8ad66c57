// What a job asks for and its progress: plain functions of the agent's answers.

const FINAL = new Set(["done", "failed", "cancelled", "interrupted"]);

const JOB_WORDS = {
  queued: "waiting",
  running: "running",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
  interrupted: "interrupted",
};

const STAGE_WORDS = {
  "power-mode": "setting the power mode",
  load: "loading",
  rest: "resting",
  build: "building the engine",
  parity: "checking parity",
  "warm-up": "warming up",
  measure: "measuring",
  pace: "serving arrivals by a clock",
  sustain: "running without a pause",
  profile: "timing its layers",
  attack: "attacking",
};

export function isFinal(job) {
  return FINAL.has(job.state);
}

export function stateWord(state) {
  return JOB_WORDS[state] ?? state;
}

export function stageWord(stage) {
  return STAGE_WORDS[stage] ?? stage;
}

/** How people call a job: by its label, else by its bundle's name, else by its id. */
export function title(job, modelName = null) {
  return job.request.label ?? modelName ?? `job ${job.id}`;
}

/** Whether layers are timed in place of whole networks. */
export function isProfile(job) {
  return Boolean(job.request.profile);
}

/** Whether engines are attacked in place of being timed. */
export function isAttack(job) {
  return Boolean(job.request.attack);
}

/** What tells two cells apart, as one text; a missing power mode and null are the same. */
export function keyOf({ variant = null, backend, precision, batch_size, power_mode }) {
  return JSON.stringify([variant, backend, precision, batch_size, power_mode ?? null]);
}

/** Cells that differ in their variant alone are compared: what they have in common. */
export function settingOf({ backend, precision, batch_size, power_mode }) {
  return { backend, precision, batch_size, power_mode: power_mode ?? null };
}

/** The settings asked for and measured: modes, backends and precisions as asked, batches rising. */
export function settingsOf(job) {
  const keys = job.cells.map((cell) => cell.key);
  const { request } = job;
  const modes = distinct([...(request.power_modes ?? [null]), ...keys.map((key) => key.power_mode ?? null)]);
  const backends = distinct([...(request.backends ?? []), ...keys.map((key) => key.backend)]);
  const precisions = distinct([...request.precisions, ...keys.map((key) => key.precision)]);
  const batches = distinct([...request.batch_sizes, ...keys.map((key) => key.batch_size)]).sort((a, b) => a - b);
  return modes.flatMap((power_mode) =>
    backends.flatMap((backend) =>
      precisions.flatMap((precision) => batches.map((batch_size) => ({ backend, precision, batch_size, power_mode }))),
    ),
  );
}

/** The variants asked for or measured, in the bundle's order where its manifest is known. */
export function variantsOf(job, manifest = null) {
  const measured = job.cells.map((cell) => cell.key.variant);
  const order = manifest === null ? [] : manifest.variants.map((variant) => variant.name);
  if (!job.request.variants) return distinct([...order, ...measured]);
  const wanted = distinct([...job.request.variants, ...measured]);
  return [...order.filter((name) => wanted.includes(name)), ...wanted.filter((name) => !order.includes(name))];
}

/** Batch size first, then what else differs among `settings`; with `all`, everything. */
export function settingWords(setting, settings, { all = false } = {}) {
  const differs = (name) => all || new Set(settings.map((each) => each[name])).size > 1;
  const words = [`batch ${setting.batch_size}`];
  if (differs("backend")) words.push(setting.backend);
  if (differs("precision")) words.push(setting.precision);
  if (setting.power_mode !== null && differs("power_mode")) words.push(modeWord(setting.power_mode));
  return words.join(", ");
}

function modeWord(mode) {
  return typeof mode === "number" ? `power mode ${mode}` : mode;
}

export function distinct(values) {
  return [...new Set(values)];
}
