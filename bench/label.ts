import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { KubeConfig } from "@kubernetes/client-node";
import { Agent, type Dispatcher, Pool } from "undici";
import { startPlayground } from "../playground/index.ts";
import { atLeast, atMost, type Figure, report } from "./figure.ts";
import { build, median, percentile, startServer } from "./support.ts";

/**
 * Event → label as a watch sees it, responses per second, and the same while slow actions run: each against a bare PATCH loop on the
 * same API server in the same run. With KUBECONFIG on that cluster, else on the playground, where the goals do not hold.
 */
const pods = 1000;
const samples = 200;
const stormRules = 3;
const slowActions = 20;
const slowMs = 30_000;
const concurrency = 16;
const deadlineMs = 240_000;
const namespace = `hallux-bench-${process.pid}`;

const playground = process.env["KUBECONFIG"] === undefined ? await startPlayground({ controllers: false }) : undefined;
const kubeconfig = playground === undefined ? String(process.env["KUBECONFIG"]) : fileWith(playground.kubeconfig);
const api = bareClient(kubeconfig);
const lambda = await startSlowLambda();

build();
await createPods();
const server = await startServer(rulesYaml(), kubeconfig, lambda.env);
const events = new Pool(server.url, { connections: concurrency });
const seen = watchLabels();
await warmUp();

const patch = { answered: [] as number[], seen: [] as number[] };
const label: number[] = [];
for (let pod = 0; pod < samples; pod++) {
  const [answered, byWatch] = await barePatch(pod, "bare");
  patch.answered.push(answered);
  patch.seen.push(byWatch);
  label.push(await eventToLabel(pod, "Label", "suspicious"));
}
const patchesPerSecond = await barePatchStorm();
const responsesPerSecond = await eventStorm();
const idle: number[] = [];
const besideSlow = await whileSlowActionsRun();

await server.stop();
lambda.close();
await api.request("DELETE", `/api/v1/namespaces/${namespace}`);
await playground?.close();
report(
  figures(),
  playground === undefined ? `the cluster of KUBECONFIG, ${pods} pods` : `the playground, ${pods} pods`,
);
process.exit(process.exitCode);

function figures(): readonly Figure[] {
  const bare = `PATCH ${ms(median(patch.answered))}, a watch sees it after ${ms(median(patch.seen))}`;
  const p50 = median(label);
  const p99 = percentile(label, 99);
  return [
    atMost("event → label seen, p50 ms", p50, median(patch.answered) + 1.5, { measured: ms(p50), against: bare }),
    atMost("event → label seen, p99 / p50", p99 / p50, 3, { measured: ms(p99), against: ms(p50) }),
    atLeast("responses/s, share of PATCH/s", responsesPerSecond / patchesPerSecond, 0.6, {
      measured: `${responsesPerSecond.toFixed(0)}/s`,
      against: `${patchesPerSecond.toFixed(0)} PATCH/s at concurrency ${concurrency}`,
    }),
    atMost(
      `label while ${slowActions} actions of ${slowMs / 1000} s run, p50 / idle`,
      median(besideSlow) / median(idle),
      1.2,
      {
        measured: ms(median(besideSlow)),
        against: `${ms(median(idle))} idle, just before`,
      },
    ),
  ];
}

/** Measured right before as well: the storm leaves the API server busier than it was at first. */
async function whileSlowActionsRun(): Promise<readonly number[]> {
  const first = samples;
  const share = (pods - first - slowActions) / 2;
  for (let pod = first; pod < first + share; pod++) {
    idle.push(await eventToLabel(pod, "Label", "suspicious"));
  }
  for (let pod = pods - slowActions; pod < pods; pod++) {
    await post(pod, "Slow");
  }
  await lambda.waitFor(slowActions);
  const latencies: number[] = [];
  for (let pod = first + share; pod < pods - slowActions; pod++) {
    latencies.push(await eventToLabel(pod, "Label", "suspicious"));
  }
  if (lambda.running() < slowActions) {
    throw new Error("the slow actions had ended before the last label");
  }
  return latencies;
}

/** Answers each call after half a minute. */
async function startSlowLambda() {
  let running = 0;
  const endpoint = createServer((request, response) => {
    running += 1;
    request.resume();
    const timer = setTimeout(() => response.end("{}"), slowMs);
    response.once("close", () => {
      clearTimeout(timer);
      running -= 1;
    });
  });
  await once(endpoint.listen(0, "127.0.0.1"), "listening");
  const { port } = endpoint.address() as AddressInfo;
  return {
    env: {
      AWS_ENDPOINT_URL_LAMBDA: `http://127.0.0.1:${port}`,
      AWS_REGION: "eu-west-1",
      AWS_ACCESS_KEY_ID: "bench",
      AWS_SECRET_ACCESS_KEY: "bench",
    },
    running: () => running,
    async waitFor(count: number) {
      while (running < count) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    close: () => endpoint.closeAllConnections(),
  };
}

async function warmUp(): Promise<void> {
  for (let pod = 0; pod < 20; pod++) {
    await barePatch(pod, "warm");
    const done = seen.waitFor(pod, "storm-0");
    await post(pod, "Storm 0");
    await done;
    await api.request("PATCH", podPath(pod), { metadata: { labels: { "storm-0": null } } });
  }
}

async function barePatch(pod: number, key: string): Promise<readonly [number, number]> {
  const done = seen.waitFor(pod, key);
  const started = performance.now();
  await api.request("PATCH", podPath(pod), { metadata: { labels: { [key]: "true" } } });
  const answered = performance.now() - started;
  await done;
  return [answered, performance.now() - started];
}

async function eventToLabel(pod: number, rule: string, key: string): Promise<number> {
  const done = seen.waitFor(pod, key);
  const started = performance.now();
  await post(pod, rule);
  await done;
  return performance.now() - started;
}

async function barePatchStorm(): Promise<number> {
  const work = storm();
  return rate(work.length, () =>
    sideBySide(work, async ({ pod, round }) => {
      await api.request("PATCH", podPath(pod), { metadata: { labels: { [`patched-${round}`]: "true" } } });
    }),
  );
}

async function eventStorm(): Promise<number> {
  const work = storm();
  const all = Promise.all(work.map(({ pod, round }) => seen.waitFor(pod, `storm-${round}`)));
  return rate(work.length, async () => {
    await sideBySide(work, ({ pod, round }) => post(pod, `Storm ${round}`));
    await all;
  });
}

function storm(): readonly { readonly pod: number; readonly round: number }[] {
  return Array.from({ length: pods * stormRules }, (_, n) => ({ pod: n % pods, round: Math.floor(n / pods) }));
}

async function rate(count: number, run: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await run();
  return (count * 1000) / (performance.now() - started);
}

async function sideBySide<T>(work: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const queue = [...work];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      await act(item);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

async function post(pod: number, rule: string): Promise<void> {
  const event = {
    uuid: crypto.randomUUID(),
    rule,
    priority: "Critical",
    source: "syscall",
    time: new Date().toISOString(),
    output: "bench",
    output_fields: {
      "k8s.ns.name": namespace,
      "k8s.pod.name": `pod-${pod}`,
      "evt.time": 1763689041886038257n.toString(),
    },
  };
  const { statusCode, body } = await events.request({ path: "/", method: "POST", body: JSON.stringify(event) });
  await body.dump();
  if (statusCode >= 300) {
    throw new Error(`the event was answered ${statusCode}`);
  }
}

async function createPods(): Promise<void> {
  await api.request("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
  const names = Array.from({ length: pods }, (_, pod) => `pod-${pod}`);
  await until(() => api.request("GET", `/api/v1/namespaces/${namespace}/serviceaccounts/default`));
  await sideBySide(names, async (name) => {
    // Never scheduled: nothing but this bench touches them.
    const spec = { schedulerName: "none", containers: [{ name: "main", image: "none" }] };
    await api.request("POST", `/api/v1/namespaces/${namespace}/pods`, { metadata: { name }, spec });
  });
}

async function until(attempt: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      await attempt();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error("the namespace's service account never appeared");
}

function watchLabels() {
  const waiting = new Map<string, () => void>();
  const watch = api.watch(`/api/v1/namespaces/${namespace}/pods?watch=true`, ({ object }) => {
    for (const key of Object.keys(object.metadata.labels ?? {})) {
      const name = `${object.metadata.name} ${key}`;
      waiting.get(name)?.();
      waiting.delete(name);
    }
  });
  const abandon = (why: string) => {
    console.error(`${why}; still waiting for ${waiting.size} labels: ${[...waiting.keys()].slice(0, 5).join(", ")}`);
    process.exit(1);
  };
  void watch.finally(() => abandon("the watch ended"));
  setTimeout(abandon, deadlineMs, `not done after ${deadlineMs / 1000} s`).unref();
  return {
    waitFor: (pod: number, key: string) => new Promise<void>((resolve) => waiting.set(`pod-${pod} ${key}`, resolve)),
  };
}

interface Watched {
  readonly object: { readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> } };
}

/** No client library: what the API server itself takes. */
function bareClient(path: string) {
  const config = new KubeConfig();
  config.loadFromFile(path);
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  const pem = (data: string | undefined) => (data === undefined ? undefined : Buffer.from(data, "base64").toString());
  const agent = new Agent({
    connections: concurrency,
    connect: { ca: pem(cluster?.caData), cert: pem(user?.certData), key: pem(user?.keyData) },
  });
  const headers = user?.token === undefined ? {} : { authorization: `Bearer ${user.token}` };
  const call = (method: Dispatcher.HttpMethod, path: string, body?: object) =>
    agent.request({
      origin: new URL(String(cluster?.server)).origin,
      path: `${new URL(String(cluster?.server)).pathname.replace(/\/$/, "")}${path}`,
      method,
      headers: { ...headers, "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });

  return {
    async request(method: Dispatcher.HttpMethod, path: string, body?: object): Promise<void> {
      const answer = await call(method, path, body);
      const text = await answer.body.text();
      if (answer.statusCode >= 300) {
        throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
      }
    },
    async watch(path: string, see: (event: Watched) => void): Promise<void> {
      const { body } = await call("GET", path);
      for await (const line of createInterface({ input: Readable.from(body) })) {
        see(JSON.parse(line) as Watched);
      }
    },
  };
}

function podPath(pod: number): string {
  return `/api/v1/namespaces/${namespace}/pods/pod-${pod}`;
}

function rulesYaml(): string {
  const rule = (name: string, key: string) => ({
    rule: name,
    match: { rules: [name] },
    actions: [{ action: "label", actionner: "kubernetes:label", parameters: { labels: { [key]: "true" } } }],
  });
  const storms = Array.from({ length: stormRules }, (_, round) => rule(`Storm ${round}`, `storm-${round}`));
  const slow = {
    rule: "Slow",
    match: { rules: ["Slow"] },
    actions: [{ action: "call", actionner: "aws:lambda", parameters: { aws_lambda_name: "slow" } }],
  };
  return JSON.stringify([rule("Label", "suspicious"), slow, ...storms]);
}

function fileWith(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "hallux-bench-")), "kubeconfig");
  writeFileSync(path, text);
  return path;
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`;
}
