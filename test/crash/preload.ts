/**
 * Loaded into Hallux, each of its threads, before anything else (`node --import`). `HALLUX_CRASH_AT=event-committed:3` kills the
 * process when it comes to that step for the third time; `HALLUX_COMMIT_MS=20` makes the disk slow: each commit takes so much
 * longer.
 */
const [step, hit] = (process.env["HALLUX_CRASH_AT"] ?? "").split(":");
const commitMs = Number(process.env["HALLUX_COMMIT_MS"] ?? 0);
const nothing = new Int32Array(new SharedArrayBuffer(4));
let left = Number(hit);

globalThis.halluxFailpoint = (reached) => {
  if (reached === "event-before-commit" && commitMs > 0) {
    Atomics.wait(nothing, 0, 0, commitMs);
  }
  if (reached === step) {
    left -= 1;
    if (left === 0) {
      process.kill(process.pid, "SIGKILL");
    }
  }
};
