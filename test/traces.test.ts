import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type Playground, startPlayground } from "../playground/index.ts";
import { type HalluxProcess, runHallux } from "./support/hallux-process.ts";
import { type HttpPeer, httpPeer } from "./support/http-peer.ts";
import { certificates } from "./support/notifier-contract.ts";
import { type OtlpReceiver, otlpReceiver, type ReceivedSpan } from "./support/otlp-receiver.ts";
import { type Workplace, workplace } from "./support/workplace.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const rules = `
- rule: Dry
  match: { rules: [Attack, Drill] }
  dry_run: true
  actions:
    - { action: Would, actionner: "kubernetes:label", parameters: { labels: { drill: "true" } } }
- rule: Label
  match: { rules: [Attack] }
  actions:
    - { action: Mark, actionner: "kubernetes:label", parameters: { labels: { suspicious: "true" } } }
    - { action: Stop, actionner: "kubernetes:terminate", parameters: { ignore_standalone_pods: false } }
  notifiers: [webhook]
`;

let playground: Playground;
let webhook: HttpPeer;
let files: Workplace;
/** Those of the tests that need no others. */
let collector: OtlpReceiver;
let hallux: HalluxProcess;
let url: string;

beforeAll(async () => {
  playground = await startPlayground();
  webhook = await httpPeer((_, response) => response.end("ok"));
  files = workplace({ kubeconfig: playground.kubeconfig, "rules.yaml": rules, "ca.pem": certificates.authority });
  collector = await otlpReceiver({ protocol: "grpc" });
  hallux = serve(collector, {
    POD_NAME: "hallux-0",
    POD_NAMESPACE: "security",
    AUTH_BEARER_TOKEN: "SECRET-TOKEN",
    OTEL_FALCOSIDEKICK_TRACES: "true",
  });
  url = await hallux.listening();
});

afterEach(() => playground.faults.clear());

afterAll(async () => {
  await hallux[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
  files[Symbol.dispose]();
  await webhook[Symbol.asyncDispose]();
  await playground.close();
});

/** A server that tells its traces to the collector. */
function serve({ port }: { readonly port: number }, env: Readonly<Record<string, string>> = {}): HalluxProcess {
  return runHallux(["server", "-r", files.path("rules.yaml")], {
    KUBECONFIG: files.path("kubeconfig"),
    NOTIFIERS_WEBHOOK_URL: `${webhook.url}/services/SECRET-PATH`,
    DEDUPLICATION_TIME_WINDOW_SECONDS: "0",
    OTEL_TRACES_ENABLED: "true",
    OTEL_COLLECTOR_ENDPOINT: "127.0.0.1",
    OTEL_COLLECTOR_PORT: String(port),
    OTEL_COLLECTOR_USE_INSECURE_GRPC: "true",
    ...env,
  });
}

interface Attack {
  readonly pod?: string;
  readonly rule?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly uuid?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The id of the event, as a trace has it. */
async function send(url: string, { pod = "nobody", rule = "Attack", fields, uuid, headers }: Attack = {}) {
  const output_fields = { "k8s.pod.name": pod, "k8s.ns.name": "shop", ...fields };
  const time = new Date(Date.now() - 40).toISOString();
  const body = JSON.stringify({ rule, priority: "Critical", uuid, time, output: "x", output_fields });
  const answer = await fetch(url, {
    method: "POST",
    headers: { authorization: "Bearer SECRET-TOKEN", ...headers },
    body,
  });
  const { event } = (await answer.json()) as { readonly event: string };
  return event.replaceAll("-", "");
}

async function makePod(name: string): Promise<string> {
  const spec = { containers: [{ name: "main", image: "busybox" }] };
  await playground.seed([
    { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "shop", labels: { app: "cart" } }, spec },
  ]);
  return name;
}

/** The trace of the event, once its root and the request are there. */
async function traceOf({ spans }: OtlpReceiver, id: string): Promise<readonly ReceivedSpan[]> {
  const ofEvent = () => spans.filter(({ traceId }) => traceId === id);
  // The request may end after all that it led to.
  const ends = expect.arrayContaining(["event", "receive"]);
  await vi.waitFor(() => expect(ofEvent().map(({ name }) => name)).toEqual(ends), { timeout: 30_000 });
  return ofEvent();
}

/** Nothing is left to do. */
async function settled(url: string): Promise<void> {
  await vi.waitFor(
    async () => expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^hallux_ledger_backlog_events 0$/m),
    { timeout: 30_000 },
  );
}

/** Each span under its parent, in the order of their beginning: `event > response Label > action Mark`. */
function treeOf(spans: readonly ReceivedSpan[]): readonly string[] {
  const pathOf = ({ name, parentId }: ReceivedSpan): string => {
    const parent = spans.find(({ spanId }) => spanId === parentId);
    return parent === undefined ? `${parentId === "" ? "" : "? > "}${name}` : `${pathOf(parent)} > ${name}`;
  };
  return spans.map(pathOf).sort();
}

function named(spans: readonly ReceivedSpan[], name: string): ReceivedSpan | undefined {
  return spans.find((span) => span.name === name);
}

describe("the trace of an event", () => {
  it("has every step, each in the one it belongs to", async () => {
    const id = await send(url, { pod: await makePod("cart-1") });

    const spans = await traceOf(collector, id);

    expect(treeOf(spans)).toEqual([
      "event",
      "event > falco",
      "event > match",
      "event > receive",
      "event > response Dry",
      "event > response Dry > action Would",
      "event > response Dry > action Would > kubernetes.addLabelsToPod",
      "event > response Label",
      "event > response Label > action Mark",
      "event > response Label > action Mark > kubernetes.addLabelsToPod",
      "event > response Label > action Stop",
      "event > response Label > action Stop > kubernetes.deletePod",
      "event > response Label > action Stop > kubernetes.getPod",
      "event > response Label > kubernetes.getPod",
      "event > response Label > notify webhook",
      "event > response Label > notify webhook",
      "event > response Label > notify webhook > http.send",
      "event > response Label > notify webhook > http.send",
    ]);
    expect(spans.filter(({ failed }) => failed)).toEqual([]);
  });

  it("says of each step what it was about, and who tells it", async () => {
    const id = await send(url, { pod: await makePod("cart-2") });

    const spans = await traceOf(collector, id);

    const pod = { "k8s.namespace.name": "shop", "k8s.pod.name": "cart-2" };
    const own = { "hallux.rule": "Label", "hallux.action": "Mark", "hallux.actionner": "kubernetes:label" };
    expect(named(spans, "event")).toMatchObject({
      attributes: { "falco.rule": "Attack", "falco.priority": "Critical", ...pod },
      resource: {
        "service.name": "hallux",
        "service.instance.id": "hallux-0",
        "k8s.pod.name": "hallux-0",
        "k8s.namespace.name": "security",
      },
    });
    expect(named(spans, "receive")).toMatchObject({ kind: "server", attributes: { "http.response.status_code": 202 } });
    expect(named(spans, "match")?.attributes).toEqual({ "hallux.rules.matched": 2 });
    expect(named(spans, "action Mark")?.attributes).toMatchObject({
      "hallux.action.status": "success",
      ...own,
      ...pod,
    });
    expect(named(spans, "action Would")?.attributes).toMatchObject({
      "hallux.action.status": "dry_run",
      "hallux.action.would": "success",
    });
    expect(named(spans, "http.send")).toMatchObject({
      kind: "client",
      attributes: { "http.response.status_code": 200 },
    });
    expect(spans.every(({ start, end }) => end >= start && end - start < 60_000)).toBe(true);
  });

  it("is as long as the event took, from where Falco saw it", async () => {
    const id = await send(url, { pod: await makePod("cart-3") });

    const spans = await traceOf(collector, id);

    const root = named(spans, "event");
    expect(named(spans, "falco")?.start).toBe(root?.start);
    expect(Math.max(...spans.map(({ end }) => end))).toBeLessThanOrEqual((root?.end ?? 0) + 1);
  });

  it("is there for an event that no rule matches, too", async () => {
    const id = await send(url, { rule: "Harmless" });

    const spans = await traceOf(collector, id);

    expect(treeOf(spans)).toEqual(["event", "event > falco", "event > match", "event > receive"]);
  });

  it("is where the exemplars of the metrics lead", async () => {
    const id = await send(url, { rule: "Harmless" });
    await traceOf(collector, id);

    const page = await fetch(`${url}/metrics`, { headers: { accept: "application/openmetrics-text; version=1.0.0" } });
    const exemplars = [...(await page.text()).matchAll(/# \{.*?trace_id="([0-9a-f]{32})"/g)].map(
      ([, traceId]) => traceId,
    );

    const traces = collector.spans.map(({ traceId }) => traceId);
    expect(exemplars.length).toBeGreaterThan(0);
    expect(exemplars.filter((traceId) => !traces.includes(traceId ?? ""))).toEqual([]);
  });

  it("shows each attempt, and what the other side answered", async () => {
    const pod = await makePod("cart-4");
    playground.faults.inject({ when: { verb: "patch", name: pod }, answer: 429, times: 1 });
    playground.faults.inject({ when: { verb: "patch", name: pod }, answer: 409, times: 1 });

    const spans = await traceOf(collector, await send(url, { pod, rule: "Drill" }));

    const action = named(spans, "action Would");
    expect(action).toMatchObject({ failed: false, attributes: { "hallux.action.status": "dry_run" } });
    expect(action?.events.map(({ name, attributes }) => [name, attributes["error.type"]])).toEqual([
      ["attempt failed", "throttled"],
      ["attempt failed", "conflict"],
    ]);
    const calls = spans.filter(({ name }) => name === "kubernetes.addLabelsToPod").sort((a, b) => a.start - b.start);
    expect(calls.map(({ failed, attributes }) => [failed, attributes["error.type"]])).toEqual([
      [true, "throttled"],
      [true, "conflict"],
      [false, undefined],
    ]);
  });

  it("shows the failure of an action as one, with its code, up to the response", async () => {
    const pod = await makePod("cart-5");
    playground.faults.inject({ when: { verb: "patch", name: pod }, answer: 403 });

    const spans = await traceOf(collector, await send(url, { pod }));

    for (const name of ["kubernetes.addLabelsToPod", "action Mark", "response Label"]) {
      expect(named(spans, name)).toMatchObject({ failed: true, attributes: { "error.type": "forbidden" } });
    }
    expect(named(spans, "action Mark")?.message).toContain("patch");
    expect(named(spans, "action Stop")).toBeUndefined();
  });

  it("goes on in the process that goes on with the event", async () => {
    await using collector = await otlpReceiver({ protocol: "grpc" });
    const ledger = { LEDGER_PATH: mkdtempSync(join(tmpdir(), "hallux-test-")) };
    const pod = await makePod("cart-6");
    const heal = playground.faults.inject({ when: { verb: "patch", name: pod }, answer: 503 });
    let id: string;
    {
      await using first = serve(collector, ledger);
      id = await send(await first.listening(), { pod, rule: "Drill" });
      await vi.waitFor(() => expect(namesIn(collector, id)).toContain("action Would"), { timeout: 20_000 });
    }
    heal();

    await using second = serve(collector, ledger);
    await second.listening();
    const spans = await traceOf(collector, id);

    expect(new Set(treeOf(spans))).toEqual(
      new Set([
        "event",
        "event > falco",
        "event > match",
        "event > receive",
        "event > response Dry",
        "event > response Dry > action Would",
        "event > response Dry > action Would > kubernetes.addLabelsToPod",
      ]),
    );
    const instances = new Set(spans.map(({ resource }) => resource["service.instance.id"]));
    expect(instances.size).toBe(2);
    const statuses = spans.flatMap(({ attributes }) => attributes["hallux.action.status"] ?? []);
    expect(statuses).toContain("postponed");
    expect(statuses.at(-1)).toBe("dry_run");
  });
});

describe("the sender's trace", () => {
  it("is linked to, where its headers are as they should be", async () => {
    const headers = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: "one=1" };

    const linked = await traceOf(collector, await send(url, { rule: "Harmless", headers }));
    const unlinked = await traceOf(collector, await send(url, { rule: "Harmless", headers: { traceparent: "00-zz" } }));

    expect(named(linked, "receive")?.links).toEqual([
      {
        traceId: "a".repeat(32),
        spanId: "b".repeat(16),
        state: "one=1",
        attributes: { "hallux.link": "sender" },
      },
    ]);
    expect(named(unlinked, "receive")?.links).toEqual([]);
  });

  it("is linked to by the id that Falcosidekick makes", async () => {
    const id = await send(url, { pod: "cart-1", rule: "Harmless", uuid: crypto.randomUUID() });

    const spans = await traceOf(collector, id);

    const traceId = "04082ef38a6dc40c0d2267a7794d9ec9";
    expect(named(spans, "receive")).toMatchObject({
      attributes: { "falcosidekick.trace_id": traceId },
      links: [{ traceId, spanId: "0".repeat(16), attributes: { "hallux.link": "falcosidekick" } }],
    });
  });
});

describe("by every way to a collector", () => {
  it.each([
    { protocol: "grpc", tls: true },
    { protocol: "http", tls: true },
  ] as const)("traces and metrics arrive: $protocol, TLS: $tls", async ({ protocol, tls }) => {
    await using collector = await otlpReceiver({ protocol, ...(tls ? { tls: certificates } : {}) });
    await using hallux = serve(collector, {
      OTEL_PROTOCOL: protocol,
      OTEL_METRICS_ENABLED: "true",
      OTEL_COLLECTOR_ENDPOINT: "localhost",
      OTEL_COLLECTOR_USE_INSECURE_GRPC: String(!tls),
      OTEL_AUTHORIZATION: "Bearer of-the-collector",
      ...(tls ? { OTEL_COLLECTOR_CA_FILE: files.path("ca.pem") } : {}),
    });
    const id = await send(await hallux.listening(), { rule: "Harmless" });

    const spans = await traceOf(collector, id);
    hallux.signal("SIGTERM");
    const { code } = await hallux.exited;

    expect(spans).toHaveLength(4);
    expect(code).toBe(0);
    const names = collector.metrics.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["hallux_events_accepted_total", "hallux_accept_duration_seconds"]));
    expect(collector.metrics[0]?.resource).toMatchObject({ "service.name": "hallux" });
    expect(new Set(collector.requests.map(({ authorization }) => authorization))).toEqual(
      new Set(["Bearer of-the-collector"]),
    );
    expect(hallux.output()).not.toContain("of-the-collector");
  });
});

describe("a collector that is down or hangs", () => {
  it.each(["down", "hangs"] as const)("changes nothing for events, and is told of once: %s", async (how) => {
    const pod = await makePod(`cart-${how}`);
    const collector = await otlpReceiver({ protocol: "grpc" });
    await using hallux = serve(collector, { OTEL_TIMEOUT: "1", SHUTDOWN_GRACE_SECONDS: "2" });
    await (how === "down" ? collector[Symbol.asyncDispose]() : collector.behave(how));
    const url = await hallux.listening();

    for (let index = 0; index < 5; index += 1) {
      await send(url, { pod, rule: "Drill" });
      await sleep(300);
    }
    await settled(url);
    await hallux.logged(({ msg }) => msg.startsWith("the collector takes no telemetry"));
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const stopping = performance.now();
    hallux.signal("SIGTERM");
    const { code } = await hallux.exited;
    const tookMs = performance.now() - stopping;
    await (how === "down" ? undefined : collector[Symbol.asyncDispose]());

    expect(metrics).toMatch(/^hallux_spans_dropped_total [1-9]/m);
    expect(hallux.log().filter(({ msg }) => msg === "action ended")).toHaveLength(5);
    expect(hallux.log().filter(({ msg }) => msg.includes("collector"))).toHaveLength(1);
    expect({ code, inTime: tookMs < 20_000 }).toEqual({ code: 0, inTime: true });
  });
});

describe("what an attacker writes into an event", () => {
  it("is in no name, and never breaks a delivery", async () => {
    const evil = `"}\u0000\n<script>${"💥".repeat(200)}${"x".repeat(2_000)}`;

    const id = await send(url, {
      pod: "nobody",
      rule: "Drill",
      fields: { "k8s.pod.name": evil, "evt.hostname": evil, __proto__: evil, "proc.cmdline": evil },
      uuid: evil,
      headers: { tracestate: "x".repeat(4_000) },
    });
    const other = await send(url, { rule: evil });
    const spans = [...(await traceOf(collector, id)), ...(await traceOf(collector, other))];

    expect(spans.map(({ name }) => name).filter((name) => name.includes("script"))).toEqual([]);
    const values = spans.flatMap(({ attributes }) => Object.values(attributes));
    expect(Math.max(...values.map((value) => String(value).length))).toBeLessThanOrEqual(256);
  });
});

describe("what is secret", () => {
  it("is in no span: neither the path of a webhook nor a header", async () => {
    const id = await send(url, { pod: await makePod("cart-7") });

    const spans = await traceOf(collector, id);

    expect(named(spans, "http.send")).toBeDefined();
    expect(JSON.stringify(spans)).not.toContain("SECRET");
  });
});

describe("sampling", () => {
  it("tells all of some events and nothing of the others", async () => {
    await using collector = await otlpReceiver({ protocol: "grpc" });
    await using hallux = serve(collector, { OTEL_TRACES_SAMPLE_PERCENT: "50" });
    const url = await hallux.listening();

    const ids = await Promise.all(Array.from({ length: 60 }, () => send(url, { rule: "Harmless" })));
    await settled(url);
    hallux.signal("SIGTERM");
    await hallux.exited;

    const told = Map.groupBy(collector.spans, ({ traceId }) => traceId);
    expect(told.size).toBeGreaterThan(10);
    expect(told.size).toBeLessThan(50);
    expect([...told.keys()].every((id) => ids.includes(id))).toBe(true);
    expect(new Set([...told.values()].map((spans) => spans.length))).toEqual(new Set([4]));
  });
});

function namesIn({ spans }: OtlpReceiver, id: string): readonly string[] {
  return spans.filter(({ traceId }) => traceId === id).map(({ name }) => name);
}
