import { join } from "node:path";
import { report } from "./figure.ts";
import { startProcess } from "./support.ts";
import { compareWithBare } from "./throughput.ts";

/** The receiver alone, before a ledger that accepts everything at once; `durable.ts` measures the whole server. */
const receiver = await startProcess([join(import.meta.dirname, "receiver.ts")]);
const figures = await compareWithBare(receiver, [
  { name: "received events, keep-alive", mode: "keep-alive", goal: 0.55 },
  { name: "received events, a new connection each", mode: "new-connection", goal: 0.8 },
]);
await receiver.stop();
report(figures);
