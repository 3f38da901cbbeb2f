import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { sysdig } from "../../actionners/kubernetes/sysdig.ts";
import type { Clients } from "../../src/clients/clients.ts";
import { createKubernetes } from "../../src/clients/kubernetes/adapter.ts";
import { eventOf } from "./events.ts";

/** Captures in the pod `namespace/name`, with the kubeconfig of a file: a process to be killed meanwhile. */
const [path = "", pod = ""] = process.argv.slice(2);
const [namespace = "", name = ""] = pod.split("/");
const kubernetes = createKubernetes({ kubeconfig: { from: "text", text: readFileSync(path, "utf8") } });

await sysdig.run({
  event: eventOf({ pod }),
  target: { kind: "pod", namespace, name, uid: undefined },
  params: {
    duration: 1,
    buffer_size: 2048,
    scope: "node",
    image: "issif/sysdig:latest",
    namespace: undefined,
    max_bytes: 1_000_000,
  },
  facts: {},
  clients: { kubernetes: kubernetes.real } as Clients,
  store: async ({ body }) => {
    await Array.fromAsync(body);
    // The Job is there for as long as this has not ended.
    await pause(60_000);
    return { output: "local:file", location: "", bytes: 0, sha256: "" };
  },
  rule: "a rule",
  objectionTo: () => undefined,
  attempt: 1,
  dryRun: false,
  signal: AbortSignal.timeout(60_000),
});
