import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPlayground } from "../playground/index.ts";
import { report } from "./figure.ts";
import { build, startServer } from "./support.ts";
import { compareWithBare } from "./throughput.ts";

/** The whole server as it ships, which has each event on disk before it answers; the rules match none of the load's events. */
const rules = JSON.stringify([
  {
    rule: "Label",
    match: { rules: ["A rule that the load does not name"] },
    actions: [{ action: "label", actionner: "kubernetes:label", parameters: { labels: { suspicious: "true" } } }],
  },
]);

build();
const playground = await startPlayground();
const kubeconfig = join(mkdtempSync(join(tmpdir(), "hallux-bench-")), "kubeconfig");
writeFileSync(kubeconfig, playground.kubeconfig);
const server = await startServer(rules, kubeconfig, { DEDUPLICATION_TIME_WINDOW_SECONDS: "5" });
const figures = await compareWithBare(server, [
  { name: "durable events, keep-alive", mode: "keep-alive", goal: 0.4 },
  { name: "durable events, a new connection each", mode: "new-connection", goal: 0.7 },
]);
await server.stop();
await playground.close();
report(figures);
