import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { expect, it, onTestFinished } from "vitest";
import { realCatalogue } from "../test/support/real-catalogue.ts";
import { loadConfig } from "./config/load.ts";
import { startHallux } from "./hallux.ts";
import { loadRules } from "./rules/load.ts";

const labelRule = `
- rule: Label
  match: {}
  actions:
    - { action: Mark, actionner: "kubernetes:label", parameters: { labels: { suspicious: "true" } } }
`;
const anEvent = `{"rule":"r","priority":"Debug","output_fields":{"k8s.pod.name":"cart-1","k8s.ns.name":"shop"}}`;

it("gives senders and actions one grace period together, and then stops whatever they do", async () => {
  const apiServer = await silentServer();
  const hallux = await start({ SHUTDOWN_GRACE_SECONDS: "2", SHUTDOWN_DELAY_SECONDS: "0" }, apiServer);
  const halfARequest = connect(hallux.port, "127.0.0.1");
  halfARequest.on("error", () => {});
  halfARequest.write("POST / HTTP/1.1\r\nHost: hallux\r\nContent-Length: 100\r\n\r\n{");
  await fetch(`http://127.0.0.1:${hallux.port}/`, { method: "POST", body: anEvent });

  const first = await Promise.race([hallux.stop().then(() => "stopped"), sleep(3_800).then(() => "a second period")]);

  expect(first).toBe("stopped");
});

/** Takes requests and never answers. */
async function silentServer(): Promise<number> {
  const server = createServer(() => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function start(env: Readonly<Record<string, string>>, apiServerPort: number) {
  const catalogue = realCatalogue;
  const readFile = () => "";
  const { config, problems } = loadConfig({
    env: { LISTEN_ADDRESS: "127.0.0.1", LISTEN_PORT: "0", ...env },
    readFile,
    catalogue,
  });
  const { rules } = loadRules([{ path: "rules.yaml", text: labelRule }], catalogue);
  if (config === undefined || rules === undefined) {
    throw new Error(JSON.stringify(problems));
  }
  return startHallux({
    config,
    rules,
    catalogue,
    logger: pino({ level: "silent" }),
    version: "0",
    kubeconfig: { from: "text", text: kubeconfigOf(apiServerPort) },
    readFile,
    metadataDisabled: true,
    stateDirectory: mkdtempSync(join(tmpdir(), "hallux-test-")),
    pid: process.pid,
  });
}

function kubeconfigOf(port: number): string {
  return `
apiVersion: v1
kind: Config
current-context: here
contexts: [{ name: here, context: { cluster: here, user: here } }]
clusters: [{ name: here, cluster: { server: "http://127.0.0.1:${port}" } }]
users: [{ name: here, user: { token: t } }]
`;
}
