import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { expect, it, onTestFinished, vi } from "vitest";
import { loadedFrom } from "../test/support/loaded.ts";
import { realCatalogue } from "../test/support/real-catalogue.ts";
import { type HalluxOptions, startHallux } from "./hallux.ts";

const soon = { timeout: 20_000 };
const labelRule = `
- rule: Label
  match: {}
  actions:
    - { action: Mark, actionner: "kubernetes:label", parameters: { labels: { suspicious: "true" } } }
`;
const anEvent = `{"rule":"r","priority":"Debug","output_fields":{"k8s.pod.name":"cart-1","k8s.ns.name":"shop"}}`;

it("gives senders and actions one grace period together, and then stops whatever they do", async () => {
  const apiServer = await silentServer();
  const hallux = await start({ SHUTDOWN_GRACE_SECONDS: "4", SHUTDOWN_DELAY_SECONDS: "0" }, apiServer);
  const halfARequest = connect(hallux.port, "127.0.0.1");
  halfARequest.on("error", () => {});
  halfARequest.write("POST / HTTP/1.1\r\nHost: hallux\r\nContent-Length: 100\r\n\r\n{");
  await fetch(`http://127.0.0.1:${hallux.port}/`, { method: "POST", body: anEvent });

  const first = await Promise.race([hallux.stop().then(() => "stopped"), awake(6_500).then(() => "a second period")]);

  expect(first).toBe("stopped");
});

it("begins nothing more while a slow sender uses up the grace period", async () => {
  let asked = 0;
  const apiServer = await server((_, response) => {
    asked += 1;
    response.writeHead(503).end();
  });
  const hallux = await start({ SHUTDOWN_GRACE_SECONDS: "2", SHUTDOWN_DELAY_SECONDS: "0" }, apiServer);
  const halfARequest = connect(hallux.port, "127.0.0.1");
  halfARequest.on("error", () => {});
  halfARequest.write("POST / HTTP/1.1\r\nHost: hallux\r\nContent-Length: 100\r\n\r\n{");
  await fetch(`http://127.0.0.1:${hallux.port}/`, { method: "POST", body: anEvent });
  await vi.waitFor(() => expect(asked).toBeGreaterThan(0), soon);

  const stopped = hallux.stop();
  // For what is on its way to the API server.
  await sleep(500);
  await turn();
  const askedSoFar = asked;
  await stopped;

  expect(asked).toBe(askedSoFar);
});

it("lets go of the ledger where it cannot start", async () => {
  const apiServer = await silentServer();
  const directory = mkdtempSync(join(tmpdir(), "hallux-test-"));
  const place = { LEDGER_PATH: directory, SHUTDOWN_DELAY_SECONDS: "0" };
  await expect(start({ ...place, LISTEN_PORT: String(apiServer) }, apiServer)).rejects.toThrow("EADDRINUSE");

  const hallux = await start(place, apiServer);

  expect(hallux.port).toBeGreaterThan(0);
  await hallux.stop();
});

it("counts the permissions that its rules lack, and starts all the same", async () => {
  const apiServer = await server((_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ status: { allowed: false } }));
  });

  const hallux = await start({ SHUTDOWN_DELAY_SECONDS: "0" }, apiServer);

  const base = `http://127.0.0.1:${hallux.port}`;
  await vi.waitFor(async () => {
    const metrics = await fetch(`${base}/metrics`);
    expect(await metrics.text()).toMatch(/^hallux_permissions_missing 2$/m);
  }, soon);
  expect((await fetch(`${base}/readyz`)).status).toBe(200);
  await hallux.stop();
});

it("lets the API be asked once its token can be kept, without a restart", async () => {
  const state = join(mkdtempSync(join(tmpdir(), "hallux-test-")), "state");
  writeFileSync(state, "");
  const options = {
    ...(await optionsFor({ SHUTDOWN_DELAY_SECONDS: "0" }, await silentServer())),
    stateDirectory: state,
  };
  const hallux = await startHallux(options);
  const statuses = async (headers: Readonly<Record<string, string>> = {}) => {
    const ask = (method: string, path: string) => fetch(`http://127.0.0.1:${hallux.port}${path}`, { method, headers });
    const answers = [await ask("GET", "/api/v1/responses"), await ask("POST", "/-/reload")];
    return answers.map(({ status }) => status);
  };
  const before = await statuses();

  rmSync(state);
  await vi.waitFor(async () => expect(await statuses()).toEqual([401, 401]), soon);

  const token = readFileSync(join(state, "api-token"), "utf8").trim();
  const admitted = await statuses({ authorization: `Bearer ${token}` });
  expect(before).toEqual([403, 403]);
  expect(admitted.filter((status) => status === 401 || status === 403)).toEqual([]);
  await hallux.stop();
});

it("acts on an event that came before the kubeconfig was there", async () => {
  const patched = Promise.withResolvers<string | undefined>();
  const apiServer = await server(({ method, url }, response) => {
    if (method === "PATCH") {
      patched.resolve(url);
    }
    response.writeHead(503).end();
  });
  const path = join(mkdtempSync(join(tmpdir(), "hallux-test-")), "kubeconfig");
  const options = await optionsFor({ SHUTDOWN_GRACE_SECONDS: "1", SHUTDOWN_DELAY_SECONDS: "0" }, apiServer);
  const hallux = await startHallux({ ...options, kubeconfig: { from: "file", path } });
  await fetch(`http://127.0.0.1:${hallux.port}/`, { method: "POST", body: anEvent });
  await sleep(500);

  writeFileSync(path, kubeconfigOf(apiServer));

  expect(await patched.promise).toMatch(/\/pods\/cart-1/);
  await hallux.stop();
});

/** Step by step: a standstill of this process counts as one. */
async function awake(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    await sleep(100);
  }
}

/** Takes requests and never answers. */
function silentServer(): Promise<number> {
  return server(() => {});
}

/** Its port. */
async function server(answer: RequestListener): Promise<number> {
  const listening = createServer(answer);
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  onTestFinished(() => {
    listening.closeAllConnections();
    listening.close();
  });
  return (listening.address() as AddressInfo).port;
}

async function start(env: Readonly<Record<string, string>>, apiServerPort: number) {
  return startHallux(await optionsFor(env, apiServerPort));
}

async function optionsFor(env: Readonly<Record<string, string>>, apiServerPort: number): Promise<HalluxOptions> {
  return {
    ...(await loadedFrom({ env: { LISTEN_ADDRESS: "127.0.0.1", LISTEN_PORT: "0", ...env }, rules: labelRule })),
    catalogue: realCatalogue,
    logger: pino({ level: "silent" }),
    version: "0",
    kubeconfig: { from: "text", text: kubeconfigOf(apiServerPort) },
    readFile: () => "",
    metadataDisabled: true,
    stateDirectory: mkdtempSync(join(tmpdir(), "hallux-test-")),
    pid: process.pid,
    usage: () => ({ cpuSeconds: 0, residentBytes: 0 }),
  };
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
