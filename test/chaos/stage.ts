import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll } from "vitest";
import { bundle } from "../support/bundle.ts";
import { eventually, type TestCluster } from "../support/cluster.ts";
import { type HalluxProcess, type LogLine, runHallux } from "../support/hallux-process.ts";
import { workplace } from "../support/workplace.ts";

const long = process.env["HALLUX_CHAOS"] === "long";

/** How long a fault lasts, and how many pods are attacked while it does. */
export const faultMs = long ? 60_000 : 5_000;
export const podCount = long ? 200 : 25;
export const floodCount = long ? 20_000 : 1_000;

/** From the end of a fault until everything is done: longer than the longest wait between two attempts. */
const recoverySeconds = long ? 300 : 120;

/** Generous: without faults the process takes a third of it. */
const memoryLimit = 512 * 1024 * 1024;

/** As it ships: it starts in a fifth of the time that its source takes. */
const build = workplace({});
const program = join(build.directory, "hallux", "hallux.js");
beforeAll(() => void bundle(dirname(program)));
afterAll(() => build[Symbol.dispose]());

const rules = `
- rule: Chaos label
  match: { rules: [Chaos label] }
  actions:
    - { action: Mark, actionner: "kubernetes:label", parameters: { labels: { chaos: "yes" } } }
- rule: Chaos function
  match: { rules: [Chaos function] }
  actions:
    - { action: Call, actionner: "aws:lambda", parameters: { aws_lambda_name: isolate } }
- rule: Chaos command
  match: { rules: [Chaos command] }
  actions:
    - { action: Run, actionner: "kubernetes:exec", parameters: { command: exec sleep 600 } }
`;

export type ChaosRule = "Chaos label" | "Chaos function" | "Chaos command";

export interface Pods {
  readonly namespace: string;
  readonly names: readonly string[];
}

/** A server under attack. */
export interface Stage extends AsyncDisposable {
  readonly hallux: HalluxProcess;
  readonly url: string;
  /** Posts one event for each pod, and resolves with their UUIDs when all are accepted. Throws where one is not. */
  attack(rule: ChaosRule, pods: Pods, options?: { readonly bytes?: number }): Promise<string[]>;
  /** How the actions of these events ended, once all have: `success`, `failure unavailable`. */
  outcomes(uuids: readonly string[]): Promise<string[]>;
  /** Throws where `/healthz` failed once, or the process took too much memory; else says how much. */
  endured(): Promise<string>;
}

/** With settings by environment, and options of Node's own. */
export async function stage(
  kubeconfig: string,
  env: Readonly<Record<string, string>> = {},
  nodeOptions: readonly string[] = [],
): Promise<Stage> {
  const files = workplace({ "rules.yaml": rules, kubeconfig });
  const settings = {
    KUBECONFIG: files.path("kubeconfig"),
    LEDGER_PATH: files.path("ledger"),
    ACTION_TIMEOUT_SECONDS: "2",
    DEDUPLICATION_TIME_WINDOW_SECONDS: "0",
    ...env,
  };
  const hallux = runHallux(["server", "-r", files.path("rules.yaml")], settings, [...nodeOptions, program]);
  const url = await hallux.listening();
  await eventually(async () => (await fetch(`${url}/readyz`)).ok, recoverySeconds);
  const watch = watchOver(url, hallux.pid);

  return {
    hallux,
    url,
    attack: (rule, { namespace, names }, { bytes = 0 } = {}) =>
      Promise.all(names.map((name) => send(url, eventOn(rule, { namespace, name }, bytes)))),
    outcomes: (uuids) => eventually(async () => outcomesIn(hallux.log(), uuids), recoverySeconds),
    async endured() {
      const { faults, peakMemory } = await watch.end();
      const said = `at most ${Math.round(peakMemory / 1024 / 1024)} MiB of memory`;
      if (faults.length > 0 || peakMemory > memoryLimit) {
        throw new Error(`${said}; /healthz failed ${faults.length} times: ${faults[0] ?? ""}`);
      }
      return said;
    },
    async [Symbol.asyncDispose]() {
      await watch.end();
      await hallux[Symbol.asyncDispose]();
      files[Symbol.dispose]();
    },
  };
}

/** Pods that need not run to be labelled: no node takes them. */
export async function makePods(cluster: TestCluster, count = podCount): Promise<Pods> {
  const namespace = await cluster.namespace();
  const names = Array.from({ length: count }, (_, index) => `pod-${index}`);
  const nodeSelector = { "hallux.dev/no-such-node": "true" };
  await Promise.all(names.map((name) => cluster.pod(namespace, { name, nodeSelector, wait: false })));
  return { namespace, names };
}

/** Resolves when each of the pods has its label. */
export async function allLabelled(cluster: TestCluster, { namespace, names }: Pods): Promise<void> {
  await eventually(async () => {
    // A server may end a kept connection just when it is asked again.
    const list = await cluster.api.core
      .listNamespacedPod({ namespace, labelSelector: "chaos=yes" })
      .catch(() => ({ items: [] }));
    const labelled = new Set(list.items.map(({ metadata }) => metadata?.name));
    return names.every((name) => labelled.has(name));
  }, recoverySeconds);
}

function eventOn(rule: ChaosRule, pod: { namespace: string; name: string }, bytes: number) {
  return {
    uuid: crypto.randomUUID(),
    rule,
    priority: "Warning",
    source: "syscall",
    output: "x".repeat(bytes),
    time: new Date().toISOString(),
    output_fields: { "k8s.ns.name": pod.namespace, "k8s.pod.name": pod.name },
  };
}

/** On a connection of its own, as Falco does it. */
async function send(url: string, event: { readonly uuid: string }): Promise<string> {
  const sending = request(url, { method: "POST", agent: false });
  sending.end(JSON.stringify(event));
  const [answer]: IncomingMessage[] = await once(sending, "response");
  const words = answer === undefined ? "" : await text(answer);
  if (answer?.statusCode !== 202) {
    throw new Error(`the event was not accepted: ${answer?.statusCode} ${words}`);
  }
  return event.uuid;
}

function outcomesIn(log: readonly LogLine[], uuids: readonly string[]): string[] | undefined {
  const ended = new Map(log.filter(({ msg }) => msg === "action ended").map((line) => [line["uuid"], line]));
  const outcomes = uuids.flatMap((uuid) => {
    const line = ended.get(uuid);
    return line === undefined ? [] : [[line["status"], line["code"]].filter(Boolean).join(" ")];
  });
  return outcomes.length === uuids.length ? outcomes : undefined;
}

interface Watch {
  end(): Promise<{ readonly faults: readonly string[]; readonly peakMemory: number }>;
}

/** Asks five times a second whether it lives, and how much memory it takes. */
function watchOver(url: string, pid: number | undefined): Watch {
  const stop = new AbortController();
  const faults: string[] = [];
  let peakMemory = 0;
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(30_000) }).catch(String);
      if (typeof answer === "string" || !answer.ok) {
        faults.push(typeof answer === "string" ? answer : `${answer.status}`);
      }
      peakMemory = Math.max(peakMemory, await memoryOf(pid));
      await pause(200);
    }
  })();
  return {
    async end() {
      stop.abort();
      await watching;
      return { faults, peakMemory };
    },
  };
}

/** Resident bytes; 0 where the system does not tell. */
async function memoryOf(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}
