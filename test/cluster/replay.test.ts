import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, useCluster } from "../support/cluster.ts";
import { type HalluxProcess, runHallux } from "../support/hallux-process.ts";
import { httpPeer } from "../support/http-peer.ts";
import { readEvent, readRules, respond, tooLong } from "./replay-model.ts";
import {
  clearStage,
  expectedState,
  expectedWriting,
  logLine,
  recordedEvents,
  setStage,
  stateOf,
  writtenIn,
} from "./replay-objects.ts";

const cluster = await useCluster();
const fixtures = new URL("fixtures/replay/", import.meta.url);
const published = new URL("../../../shared/data/events/", import.meta.url);

/** Every event that there is; where that directory is absent, a tenth of them, copied from there. */
async function allLines(): Promise<string[]> {
  const files = existsSync(published)
    ? [new URL("real.jsonl", published), new URL("corpus.jsonl", published)]
    : [new URL("events.jsonl", fixtures)];
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
  return texts.flatMap((text) => text.trim().split("\n"));
}

/** A directory with the configuration, the rules, the kubeconfig and room for evidence. */
async function workplace() {
  const directory = await mkdtemp(join(tmpdir(), "hallux-replay-"));
  afterAll(() => rm(directory, { recursive: true }));
  const fixture = (name: string) => readFile(new URL(name, fixtures), "utf8");
  const evidence = await mkdtemp(join(directory, "evidence-"));
  const rules = [
    (await fixture("rules.yaml")).replace("/evidence", evidence).replace("more than fits", tooLong),
    await fixture("overrides.yaml"),
  ];
  const files = { "config.yaml": await fixture("config.yaml"), "a.yaml": rules[0], "b.yaml": rules[1] };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(directory, name), text ?? "")));
  await writeFile(join(directory, "kubeconfig"), cluster.kubeconfig);

  const path = (name: string) => join(directory, name);
  return {
    evidence,
    rules: readRules(rules),
    args: ["server", "-c", path("config.yaml"), "-r", path("a.yaml"), "-r", path("b.yaml")],
    env: { KUBECONFIG: path("kubeconfig"), AWS_EC2_METADATA_DISABLED: "true" },
  };
}

type Workplace = Awaited<ReturnType<typeof workplace>>;

/** As Falco (plain, gzip) and Falcosidekick (POST, PUT) do. */
async function send(url: string, line: string, index: number): Promise<Response> {
  const compressed = index % 2 === 1;
  return fetch(url, {
    method: index % 4 < 2 ? "POST" : "PUT",
    headers: { "content-type": "application/json", ...(compressed ? { "content-encoding": "gzip" } : {}) },
    body: compressed ? gzipSync(line) : line,
  });
}

async function metric(url: string, name: string): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const values = page.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return values.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

function endedActions(hallux: HalluxProcess): string[] {
  return hallux
    .log()
    .filter(({ msg }) => msg === "action ended")
    .map(({ rule, action, status, code }) =>
      [`rule "${rule}", action "${action}"`, status, code].filter((part) => part !== undefined).join(" "),
    )
    .sort();
}

/** All events are finished: when Hallux is told to stop, it begins with no more of them. */
async function isIdle(url: string): Promise<boolean> {
  return (await metric(url, "hallux_ledger_backlog_events")) === 0;
}

/** Sends every line, waits until the last notification is out, and stops Hallux. */
async function replay(lines: readonly string[], { args, env, rules }: Workplace) {
  const events = lines.map(readEvent);
  const stage = await setStage(cluster, events);
  afterAll(() => (cluster.real ? clearStage(cluster, stage) : undefined), 420_000);
  await using lambda = await httpPeer((_request, response) => response.end('"done"'));
  const environment = { DEDUPLICATION_TIME_WINDOW_SECONDS: "0", AWS_ENDPOINT_URL_LAMBDA: lambda.url };
  await using hallux = runHallux(args, { ...env, ...environment });
  const url = await hallux.listening();

  const statuses: number[] = [];
  for (const [index, line] of lines.entries()) {
    statuses.push((await send(url, line, index)).status);
  }
  const ended = respond(rules, events, stage.world);
  await eventually(
    async () => (await isIdle(url)) && (await metric(url, "hallux_notifications_total")) >= ended.length,
    120,
  );
  const metrics = {
    accepted: await metric(url, "hallux_events_accepted_total"),
    refused: await metric(url, "hallux_events_refused_total"),
    actions: await metric(url, "hallux_actions_total"),
  };
  hallux.signal("SIGTERM");
  return { stage, statuses, ended, metrics, hallux, exit: await hallux.exited, invocations: lambda.requests };
}

describe("every published event, with a Talon configuration and rules", () => {
  let lines: string[];
  let place: Workplace;
  let replayed: Awaited<ReturnType<typeof replay>>;

  beforeAll(async () => {
    lines = await allLines();
    place = await workplace();
    replayed = await replay(lines, place);
  }, 240_000);

  it("is answered 202 and counted", () => {
    const { statuses, metrics, ended } = replayed;

    expect(new Set(statuses)).toEqual(new Set([202]));
    expect(metrics).toEqual({ accepted: lines.length, refused: 0, actions: ended.length });
  });

  it("is handled before Hallux ends", () => {
    const { hallux, exit } = replayed;

    expect(hallux.log().filter(({ msg }) => /^event match/.test(msg))).toHaveLength(lines.length);
    expect(exit).toEqual({ code: 0, signal: null });
  });

  it("has the outcomes that the rules say", () => {
    const { hallux, ended } = replayed;

    expect(endedActions(hallux)).toEqual(ended.map(({ line }) => line).sort());
  });

  it("leaves the cluster as the rules say", { timeout: 420_000 }, async () => {
    const { stage } = replayed;

    // Controllers clean up after us: the policies of deleted pods, and namespaces, behind the hundreds that other files deleted.
    const state = expect.poll(() => stateOf(cluster, stage), { timeout: 400_000, interval: 250 });

    await state.toEqual(expectedState(stage));
  });

  it("is told of by Kubernetes events", async () => {
    const recorded = await recordedEvents(cluster, new Set(place.rules.map(({ rule }) => rule)));

    expect(recorded).toEqual(replayed.ended.map(({ event }) => event).sort());
  });

  it("reaches the commands as data", async () => {
    const { stage } = replayed;

    const written = await writtenIn(cluster, stage);

    expect(written).toEqual(expectedWriting(stage));
  });

  it("leaves the logs where the rules say", async () => {
    const stored = await readdir(place.evidence);
    const files = stored.filter((name) => !name.endsWith(".sha256"));
    const texts = await Promise.all(files.map((file) => readFile(join(place.evidence, file), "utf8")));

    const pods = files.map((name) => name.replace(/^[^_]*_(.*)_log(-\d+)?$/, "$1"));
    expect(pods.sort()).toEqual(replayed.stage.world.evidence.toSorted());
    expect(stored.toSorted()).toEqual(files.flatMap((name) => [name, `${name}.sha256`]).sort());
    expect(texts.filter((text) => !text.endsWith(`${logLine}\n`))).toEqual([]);
  });

  it("reaches the function with every digit", () => {
    const sent = replayed.invocations.map(({ body }) => ({
      ...readEvent(body),
      context: JSON.parse(body).context["node.hostname"],
    }));

    expect(sent.sort(byJson)).toEqual(replayed.stage.world.invocations.toSorted(byJson));
  });
});

describe("a repeated event", () => {
  it("is answered 200, counted, and not acted on again", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });
    const { args, env } = await workplace();
    await using hallux = runHallux(args, { ...env, DEDUPLICATION_TIME_WINDOW_SECONDS: "3600" });
    const url = await hallux.listening();
    const relayed = attackOn(`${namespace}/cart-1`, { uuid: crypto.randomUUID() });
    const direct = attackOn(`${namespace}/cart-1`, {});

    const answers = [];
    for (const [index, line] of [relayed, direct, relayed, direct].entries()) {
      answers.push(await send(url, line, index));
    }

    expect(answers.map(({ status }) => status)).toEqual([202, 202, 200, 200]);
    expect(await answers[2]?.json()).toMatchObject({ status: "duplicate" });
    expect(await metric(url, "hallux_events_duplicate_total")).toBe(2);
    await eventually(() => isIdle(url));
    hallux.signal("SIGTERM");
    await hallux.exited;
    expect(endedActions(hallux)).toHaveLength(2);
  });
});

/** Shells and persistence is the one rule that it matches. */
function attackOn(pod: string, more: object): string {
  const [namespace, name] = pod.split("/");
  return JSON.stringify({
    rule: "Shell",
    priority: "Notice",
    tags: ["mitre_persistence"],
    time: "2026-11-20T10:00:00Z",
    output_fields: { "k8s.ns.name": namespace, "k8s.pod.name": name },
    ...more,
  });
}

function byJson(a: object, b: object): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
