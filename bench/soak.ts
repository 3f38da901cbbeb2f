import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Pool } from "undici";
import { type Playground, startPlayground } from "../playground/index.ts";
import { bundle } from "../test/support/bundle.ts";
import { workplace } from "../test/support/workplace.ts";
import { type Process, startProcess } from "./support.ts";
import { trendOf } from "./trend.ts";

/**
 * `npm run soak -- --minutes N`: the real server under a steady mixed load for so long. What it holds (heap after collection, of
 * the main thread and the others; resident memory; handles; file descriptors; the ledger's files) must not grow: after a warm-up, the straight line
 * through the samples rises by no more than noise, whatever N is; so a longer run finds a smaller leak. Exits 1 where one of them
 * grows, or where the backlog does not come back to nothing.
 *
 * What is bounded only after long (the memory of 100 000 events to know again, for which a Map keeps a table of 262 144; the
 * history on disk) is filled before the clock starts. What V8 compiles grows for the first minutes: 30 of them tell more than 5.
 */
const { values } = parseArgs({ options: { minutes: { type: "string", default: "30" } } });
const minutes = Number(values.minutes);
const sampleMs = Math.max(5_000, (minutes * 60_000) / 120);
const warmUpShare = 0.3;

/** The rise that is noise, from the first sample to the last: MiB, and numbers of handles and descriptors. */
const noise = { heap: 3, threads: 2, resident: 24, resources: 8, descriptors: 8, ledger: 4 } as const;
type Series = keyof typeof noise;
type Sample = { readonly minute: number; readonly backlog: number } & Readonly<Record<Series, number>>;

/** A second of load. */
const perSecond = { nothing: 60, label: 20, repeated: 5, call: 2, exec: 1, read: 2 } as const;
const filling = { events: 140_000, largeEvents: 2_000, largeBytes: 12_000, connections: 128 } as const;
const retentionBytes = 16 * 1024 * 1024;
const pods = 50;
const namespace = "shop";
const apiToken = "soak";
const webhookFails = 0.1;
const webhookHangs = 0.002;
const callMs = 2_000;
const settleSeconds = 120;
const mebi = 1024 * 1024;

const playground = await startPlayground({ controllers: false });
const webhook = await listening(webhookListener);
const lambda = await listening((_request, response) => void setTimeout(() => response.end("{}"), callMs));
using files = workplace({ kubeconfig: playground.kubeconfig, "rules.yaml": rulesJson() });
await seedPods(playground);
const hallux = await startServer(bundle(files.path("hallux")));
const url = `http://127.0.0.1:${hallux.port}`;
// Those that only the filling needs end before the warm-up does.
const senders = new Pool(url, { connections: filling.connections, keepAliveMaxTimeout: 5_000 });

await fill();
const samples = await soak();
const left = await settle();
await hallux.stop();
await senders.close();
await playground.close();
for (const server of [webhook, lambda]) {
  server.closeAllConnections();
  server.close();
}
report();

function startServer(program: string): Promise<Process> {
  const probe = fileURLToPath(new URL("soak-probe.ts", import.meta.url));
  const settings = {
    LISTEN_ADDRESS: "127.0.0.1",
    LISTEN_PORT: "0",
    LOG_FORMAT: "json",
    SHUTDOWN_DELAY_SECONDS: "0",
    SOAK_SAMPLES: files.path("samples"),
    KUBECONFIG: files.path("kubeconfig"),
    LEDGER_PATH: files.path("ledger"),
    LEDGER_RETENTION_BYTES: String(retentionBytes),
    API_TOKEN: apiToken,
    DEFAULT_NOTIFIERS: "webhook",
    NOTIFIERS_WEBHOOK_URL: urlOf(webhook),
    AWS_ENDPOINT_URL_LAMBDA: urlOf(lambda),
    AWS_REGION: "eu-west-1",
    AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_EC2_METADATA_DISABLED: "true",
  };
  writeFileSync(files.path("samples"), "");
  return startProcess(["--expose-gc", "--import", probe, program, "server", "-r", files.path("rules.yaml")], settings);
}

/** To the brim, as after days. */
async function fill(): Promise<void> {
  const { events, largeEvents, largeBytes, connections } = filling;
  console.log(`filling: ${events} events, and ${largeEvents} of ${largeBytes} bytes with a response`);
  let sent = 0;
  const sender = async () => {
    for (; sent < events; sent++) {
      await post(sent < largeEvents ? { rule: "Large", output: "x".repeat(largeBytes) } : { rule: "Nothing" });
    }
  };
  await Promise.all(Array.from({ length: connections }, sender));
}

async function soak(): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  const ending = AbortSignal.timeout(minutes * 60_000);
  const started = performance.now();
  const loading = load(ending);
  console.log(row(["minute", "heap MiB", "threads MiB", "RSS MiB", "handles", "fds", "ledger MiB", "backlog"]));
  while (!ending.aborted) {
    const sample = await takeSample((performance.now() - started) / 60_000);
    samples.push(sample);
    const { minute, heap, threads, resident, resources, descriptors, ledger, backlog } = sample;
    console.log(row([minute, heap, threads, resident, resources, descriptors, ledger, backlog]));
    playground.clearRequests();
    await pause(sampleMs, undefined, { signal: ending }).catch(() => undefined);
  }
  await loading;
  return samples;
}

async function load(ending: AbortSignal): Promise<void> {
  const acts: Readonly<Record<keyof typeof perSecond, () => Promise<void>>> = {
    nothing: () => post({ rule: "Nothing" }),
    label: () => post({ rule: "Label" }),
    repeated: () => post({ rule: "Label", uuid: "always the same" }),
    call: () => post({ rule: "Call" }),
    exec: () => post({ rule: "Exec" }),
    read: readHistory,
  };
  const kinds = Object.entries(perSecond) as [keyof typeof perSecond, number][];
  await Promise.all(
    kinds.map(async ([kind, rate]) => {
      while (!ending.aborted) {
        await Promise.all([acts[kind](), pause(1000 / rate)]);
      }
    }),
  );
}

interface Traits {
  readonly rule: string;
  readonly uuid?: string;
  readonly output?: string;
}

async function post({ rule, uuid = crypto.randomUUID(), output = "soak" }: Traits): Promise<void> {
  const pod = `pod-${Math.floor(Math.random() * pods)}`;
  const event = {
    uuid,
    rule,
    priority: "Critical",
    source: "syscall",
    time: new Date().toISOString(),
    output,
    output_fields: { "k8s.ns.name": namespace, "k8s.pod.name": pod },
  };
  const { statusCode, body } = await senders.request({ path: "/", method: "POST", body: JSON.stringify(event) });
  await body.dump();
  if (statusCode >= 300) {
    throw new Error(`an event was answered ${statusCode}`);
  }
}

async function readHistory(): Promise<void> {
  const [first] = (await read("/api/v1/responses?limit=50")).responses ?? [];
  if (first !== undefined) {
    await read(`/api/v1/responses/${first.id}`);
  }
}

async function read(path: string): Promise<{ readonly responses?: readonly { readonly id: string }[] }> {
  const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${apiToken}` } });
  if (!answer.ok && answer.status !== 404) {
    throw new Error(`${path} was answered ${answer.status}: ${await answer.text()}`);
  }
  return (await answer.json()) as { responses?: { id: string }[] };
}

async function takeSample(minute: number): Promise<Sample> {
  const {
    heaps: [main = Number.NaN, ...others],
    rss,
    resources,
  } = await probe();
  return {
    minute,
    heap: main / mebi,
    threads: others.reduce((sum, bytes) => sum + bytes, 0) / mebi,
    resident: rss / mebi,
    resources,
    descriptors: readdirSync(`/proc/${hallux.pid}/fd`).length,
    ledger: sizeOfLedger() / mebi,
    backlog: await backlog(),
  };
}

interface Probe {
  /** Of each thread, after collection. */
  readonly heaps: readonly number[];
  readonly rss: number;
  readonly resources: number;
}

async function probe(): Promise<Probe> {
  const lines = () => readFileSync(files.path("samples"), "utf8").split("\n").slice(0, -1);
  const before = lines().length;
  process.kill(hallux.pid, "SIGUSR2");
  while (lines().length === before) {
    await pause(50);
  }
  return JSON.parse(lines().at(-1) ?? "") as Probe;
}

function sizeOfLedger(): number {
  const directory = files.path("ledger");
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

async function backlog(): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return Number(/^hallux_ledger_backlog_events (\d+)$/m.exec(page)?.[1]);
}

/** What is left of the backlog once nobody sends any more. */
async function settle(): Promise<number> {
  const deadline = performance.now() + settleSeconds * 1000;
  let left = await backlog();
  while (left > 0 && performance.now() < deadline) {
    await pause(500);
    left = await backlog();
  }
  return left;
}

function report(): void {
  const measured = samples.filter(({ minute }) => minute >= minutes * warmUpShare);
  console.log(`\nfrom minute ${(minutes * warmUpShare).toFixed(1)} on, ${measured.length} samples`);
  console.log(row(["", "mean", "rise", "± error", "allowed", "per hour", ""]));
  const grown = (Object.keys(noise) as Series[]).filter((series) => {
    const { mean, rise, standardError } = trendOf(measured.map((sample) => ({ x: sample.minute, y: sample[series] })));
    const perHour = (rise / (minutes * (1 - warmUpShare))) * 60;
    const grows = !(rise <= noise[series]);
    console.log(row([series, mean, rise, standardError, noise[series], perHour, grows ? "GROWS" : "flat"]));
    return grows;
  });
  console.log(`backlog at the end: ${left}`);
  process.exitCode = grown.length > 0 || left > 0 ? 1 : 0;
}

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell) => (typeof cell === "number" ? cell.toFixed(2) : cell).padStart(12)).join("");
}

function webhookListener(...[request, response]: Parameters<RequestListener>): void {
  request.resume();
  const fate = Math.random();
  if (fate > webhookHangs) {
    response.writeHead(fate < webhookHangs + webhookFails ? 503 : 200).end();
  }
}

async function listening(listener: RequestListener): Promise<Server> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return server;
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function seedPods(playground: Playground): Promise<void> {
  const spec = { containers: [{ name: "main", image: "none" }] };
  const names = Array.from({ length: pods }, (_, pod) => `pod-${pod}`);
  await playground.seed(names.map((name) => ({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace }, spec })));
}

function rulesJson(): string {
  const rule = (name: string, actionner: string, parameters: object) => ({
    rule: name,
    match: { rules: [name] },
    actions: [{ action: name, actionner, parameters }],
  });
  return JSON.stringify([
    rule("Label", "kubernetes:label", { labels: { suspicious: "true" } }),
    rule("Large", "kubernetes:label", { labels: { suspicious: "true" } }),
    rule("Call", "aws:lambda", { aws_lambda_name: "isolate" }),
    rule("Exec", "kubernetes:exec", { command: "sleep 1" }),
  ]);
}
