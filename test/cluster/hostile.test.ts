import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { stringify } from "yaml";
import type { Actionner, Output } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import type { Kubernetes } from "../../src/clients/kubernetes/port.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import { loadRules } from "../../src/rules/load.ts";
import type { Action } from "../../src/rules/rule.ts";
import type { FieldSchema, Fields } from "../../src/schema/field.ts";
import { compileFields } from "../../src/schema/read.ts";
import { cloudPorts, type PortCall } from "../support/cloud-ports.ts";
import { useCluster } from "../support/cluster.ts";
import { eventOf } from "../support/events.ts";
import { hostileTexts } from "../support/hostile.ts";
import { realCatalogue } from "../support/real-catalogue.ts";
import { runActionner } from "../support/run-actionner.ts";
import { memoryStore } from "../support/stored.ts";
import { workplace } from "../support/workplace.ts";

vi.setConfig({ testTimeout: 120_000 });

const cluster = await useCluster();
const actionners = [...realCatalogue.actionners.values()];
const outputs = [...realCatalogue.outputs.values()];
const notifiers = [...realCatalogue.notifiers.values()];
const settings = { seed: 20_261_121, numRuns: 15 };

const hostile = fc.oneof(fc.constantFrom(...hostileTexts), fc.string({ unit: "binary" }), fc.string());

/** What entries read of an event, besides its pod. */
const fieldNames = [
  ...["ka.target.resource", "ka.target.name", "ka.target.namespace", "ka.target.pod.name", "ka.resp.name", "ka.uri"],
  ...["fd.name", "fd.rip", "fd.sip", "container.id", "container.name", "proc.name", "proc.vpid", "proc.args[0]"],
  ...["k8s.pod.uid", "__proto__", "constructor", "https_proxy"],
];

const hostileEvent = fc.record({
  fields: fc.dictionary(
    fc.oneof(fc.constantFrom(...fieldNames), hostile),
    fc.oneof(hostile, fc.integer(), fc.boolean()),
  ),
  texts: fc.record({
    rule: hostile.filter((text) => text.trim() !== ""),
    source: hostile,
    hostname: hostile,
    output: hostile,
  }),
  tags: fc.array(hostile),
  /** In place of the pod's. */
  names: fc.option(fc.record({ "k8s.ns.name": hostile, "k8s.pod.name": hostile }), { nil: undefined, freq: 2 }),
});

/** Those of an example, some of them with any other value. */
function hostileParameters({ params, examples }: Pick<Actionner, "params" | "examples">) {
  const good = fc.constantFrom({}, ...examples.map(({ parameters }) => parameters));
  const bad = fc
    .subarray(Object.keys(params), { maxLength: Math.min(2, Object.keys(params).length) })
    .chain((names) =>
      fc.record(Object.fromEntries(names.map((name) => [name, arbitraryOf(params[name]?.schema ?? {})]))),
    );
  return fc.tuple(good, bad).map(([base, changed]): Readonly<Record<string, unknown>> => ({ ...base, ...changed }));
}

function arbitraryOf(schema: FieldSchema): fc.Arbitrary<unknown> {
  const wrong = fc.oneof(hostile, fc.integer(), fc.constant({}), fc.constant([]));
  switch (schema.type) {
    case "array":
      return fc.oneof(fc.array(hostile, { maxLength: 3 }), wrong);
    case "object":
      return fc.oneof(fc.dictionary(hostile, hostile, { maxKeys: 3 }), wrong);
    case "integer":
      return fc.oneof(fc.integer(), fc.integer({ min: 0, max: 10 }), fc.double(), hostile);
    default:
      return wrong;
  }
}

/** Nothing is run in containers: on the playground they are this machine. */
function withoutCommands(real: Kubernetes): { readonly kubernetes: Kubernetes; readonly commands: readonly unknown[] } {
  const commands: unknown[] = [];
  const kubernetes: Kubernetes = {
    ...real,
    async exec(_pod, options) {
      commands.push(options.command);
      return { exitCode: 0, stdout: "", stderr: "", truncated: false };
    },
    execStream(_pod, options) {
      commands.push(options.command);
      return { stdout: bytes(), ended: Promise.resolve({ exitCode: 0, stderr: "" }) };
    },
  };
  return { kubernetes, commands };
}

async function* bytes(): AsyncGenerator<Uint8Array, undefined> {
  yield Buffer.from("read");
}

/** Enough for all but those that wait for what does not come here: a Job's pod. */
function shortly(): AbortSignal {
  return AbortSignal.timeout(1000);
}

interface Place {
  readonly namespace: string;
  readonly pod: string;
  readonly node: string;
}

/** A pod on a node, each of its own: what an entry did before is not to be seen. */
async function newPlace(namespace: string): Promise<Place> {
  const node = await cluster.node();
  const pod = await cluster.pod(namespace, { nodeName: node });
  cluster.playground?.clearRequests();
  return { namespace, pod: pod.metadata?.name ?? "", node };
}

/** The event of the arbitrary above, about the pod unless it has other names. */
function eventAbout(
  { namespace, pod }: Place,
  sent: typeof hostileEvent extends fc.Arbitrary<infer T> ? T : never,
): FalcoEvent {
  const names = sent.names ?? { "k8s.ns.name": namespace, "k8s.pod.name": pod };
  return eventOf({ ...sent.texts, tags: sent.tags, fields: { ...sent.fields, ...names } });
}

/** A Kubernetes name: nothing else of what an event says may get into a path. */
const ordinary = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** Requests that were about something else than the place, or had more in their path than names. */
function straying({ namespace, pod, node }: Place, allowed: readonly string[]): string[] {
  return (cluster.playground?.requests ?? [])
    .filter((request) => request.namespace !== undefined || request.name !== undefined)
    .filter((request) => {
      const name = request.name ?? "";
      const own = name === "" || name.startsWith("hallux-") || [pod, node, ...allowed].includes(name);
      const here =
        request.namespace === undefined
          ? request.resource === "nodes"
          : [namespace, ...allowed].includes(request.namespace);
      return !own || !here || !(name === "" || ordinary.test(name));
    })
    .map(({ verb, resource, namespace: where, name }) => `${verb} ${resource} ${where}/${name}`);
}

const onKubernetes = actionners.filter(({ target, uses }) => target === "pod" && uses.includes("kubernetes"));

describe.skipIf(cluster.real)("an actionner of pods", () => {
  it.each(onKubernetes)("stays with its target whatever the event says: $id", async (actionner) => {
    const namespace = await cluster.namespace();
    const params = actionner.examples[0]?.parameters ?? {};

    await fc.assert(
      fc.asyncProperty(hostileEvent, async (sent) => {
        const place = await newPlace(namespace);
        const { kubernetes } = withoutCommands(cluster.kubernetes.real);
        const event = eventAbout(place, sent);

        await runActionner(actionner, {
          ...{ event, cluster, params, store: memoryStore().store },
          clients: { kubernetes },
          signal: shortly(),
        });

        expect(straying(place, [])).toEqual([]);
      }),
      settings,
    );
  });

  it.each(onKubernetes)("takes its parameters as data, or does not load: $id", async (actionner) => {
    const namespace = await cluster.namespace();
    let runs = 0;

    await fc.assert(
      fc.asyncProperty(hostileParameters(actionner), async (given) => {
        const action = actionWith(actionner, given);
        if (action === undefined) {
          return;
        }
        runs += 1;
        const place = await newPlace(namespace);
        const { kubernetes } = withoutCommands(cluster.kubernetes.real);
        const event = eventOf({ pod: `${namespace}/${place.pod}`, fields: { "fd.rip": "192.0.2.7", "fd.name": "/x" } });
        const signal = shortly();

        await runActionner(actionner, {
          ...{ event, cluster, signal, params: action.parameters, store: memoryStore().store },
          clients: { kubernetes },
        });

        const elsewhere = action.parameters["namespace"];
        expect(straying(place, typeof elsewhere === "string" ? [elsewhere] : [])).toEqual([]);
      }),
      { ...settings, numRuns: 40 },
    );

    expect(runs).toBeGreaterThan(3);
  });
});

/** As a rules file gives it; undefined where it does not load, which then is told in words. */
function actionWith(actionner: Actionner, parameters: object, output?: object): Action | undefined {
  const needed = output ?? { target: "local:file", parameters: { destination: "/evidence" } };
  const action = {
    ...{ action: "Do", actionner: actionner.id, parameters },
    ...(actionner.output === "required" || output !== undefined ? { output: needed } : {}),
  };
  const text = stringify([{ rule: "Hostile", match: {}, actions: [action] }], { lineWidth: 0 });
  const { rules, problems } = loadRules([{ path: "hostile.yaml", text }], realCatalogue);
  expect(problems.length > 0).toBe(rules === undefined);
  expect(problems.filter(({ message }) => message === "")).toEqual([]);
  return rules?.rules[0]?.actions[0];
}

describe.skipIf(cluster.real)("an actionner of an audit event's object", () => {
  const onResources = actionners.filter(({ target }) => target === "resource");

  it.each(onResources)("asks for nothing but what the event names: $id", async (actionner) => {
    const resources = actionner.rbac.flatMap((rule) => rule.resources);
    const event = fc.record({
      sent: hostileEvent,
      resource: fc.oneof(fc.constantFrom(...resources), hostile),
      name: fc.oneof(hostile, fc.constantFrom("settings", "system:nodes")),
      namespace: fc.option(fc.oneof(hostile, fc.constant("shop")), { nil: undefined }),
    });

    await fc.assert(
      fc.asyncProperty(event, async ({ sent, resource, name, namespace }) => {
        cluster.playground?.clearRequests();
        const audited = {
          ...{ "ka.target.resource": resource, "ka.target.name": name },
          ...(namespace === undefined ? {} : { "ka.target.namespace": namespace }),
        };
        const fields = { ...sent.fields, "ka.target.namespace": null, ...audited };

        await runActionner(actionner, { event: eventOf({ ...sent.texts, fields }), cluster });

        const asked = cluster.playground?.requests ?? [];
        // What stands in no namespace is asked for without the event's.
        const others = asked.filter(
          (request) =>
            request.resource !== resource ||
            request.name !== name ||
            ![undefined, namespace].includes(request.namespace),
        );
        expect(others).toEqual([]);
      }),
      { ...settings, numRuns: 150 },
    );
  });
});

describe("an actionner of the cloud", () => {
  const elsewhere = actionners.filter(({ target }) => target === "none");

  it.each(elsewhere)("sends hostile events as data, to where the rule says: $id", async (actionner) => {
    const [example] = actionner.examples;
    const params = compileFields(actionner.params).read(example?.parameters).values ?? {};
    const [usual] = await callsOf(actionner, { event: eventOf(), params });

    await fc.assert(
      fc.asyncProperty(hostileEvent, async ({ fields, texts, tags, names }) => {
        const event = eventOf({ ...texts, tags, fields: { ...fields, ...names } });

        const [call] = await callsOf(actionner, { event, params });

        expect(addressOf(call)).toEqual(addressOf(usual));
        expect(JSON.parse(contentOf(call))).toMatchObject({});
        expect(headersOf(call).filter(([, value]) => /[^\t\x20-\x7e]/.test(value))).toEqual([]);
      }),
      { ...settings, numRuns: 100 },
    );
  });

  it.each(elsewhere)("takes its parameters as data, or does not load: $id", async (actionner) => {
    let runs = 0;

    await fc.assert(
      fc.asyncProperty(hostileParameters(actionner), async (given) => {
        const action = actionWith(actionner, given);
        if (action !== undefined) {
          runs += 1;
          await callsOf(actionner, { event: eventOf(), params: action.parameters });
        }
      }),
      { ...settings, numRuns: 150 },
    );

    expect(runs).toBeGreaterThan(3);
  });
});

/** What it asked of its port. Rejects where it throws anything but an ActionError. */
async function callsOf(
  actionner: Actionner,
  { event, params }: { readonly event: FalcoEvent; readonly params: Readonly<Record<string, unknown>> },
): Promise<readonly PortCall[]> {
  const { clients, calls } = cloudPorts();
  await runActionner(actionner, { event, cluster, params, clients });
  return calls;
}

type Sent = Readonly<Record<"payload" | "body", string | undefined>> & { readonly headers?: Record<string, string> };

function addressOf(call: PortCall | undefined): unknown {
  const { payload: _payload, body: _body, headers: _headers, ...address } = (call?.subject ?? {}) as Sent;
  return { ...call, signal: undefined, subject: address };
}

function contentOf(call: PortCall | undefined): string {
  const { payload, body } = (call?.subject ?? {}) as Sent;
  return payload ?? body ?? "";
}

function headersOf(call: PortCall | undefined): [string, string][] {
  return Object.entries(((call?.subject ?? {}) as Sent).headers ?? {});
}

describe("an output", () => {
  it.each(outputs)("takes its parameters as data, or does not load: $id", async (output) => {
    const { directory } = place();
    let runs = 0;

    await fc.assert(
      fc.asyncProperty(hostileParameters(output), async (given) => {
        const params = parametersOf(output, given, directory);
        if (params === undefined) {
          return;
        }
        runs += 1;
        const { clients, calls } = cloudPorts();
        const artifact = { key, contentType: "text/plain", body: bytes(), digest: () => ({ bytes: 4, sha256: "00" }) };
        const call = { artifact, params, dryRun: false, signal: AbortSignal.timeout(60_000) };

        const stored = await output
          .store({ ...call, clients: { ...clients, kubernetes: cluster.kubernetes.real } })
          .catch(only);

        const keys = calls.map(({ subject }) => (subject as { key: string }).key);
        expect(keys.filter((one) => !/^(?!.*(^|\/)\.{1,2}(\/|$))([^/].*\/)?[\w.-]+$/.test(one))).toEqual([]);
        expect(stored instanceof ActionError || stored.location.includes(key)).toBe(true);
      }),
      { ...settings, numRuns: 150 },
    );

    expect(runs).toBeGreaterThan(3);
  });
});

const key = "2026-11-21T08-15-00Z_shop_cart-1_capture";

function only(error: unknown): ActionError {
  if (error instanceof ActionError) {
    return error;
  }
  throw error;
}

function place() {
  const files = workplace({});
  onTestFinished(() => files[Symbol.dispose]());
  return files;
}

/** As a rule gives them; undefined where they do not load. A directory stays below the test's own. */
function parametersOf(output: Output, given: Readonly<Record<string, unknown>>, directory: string) {
  const [keeper] = actionners.filter((one) => one.output === "optional");
  const text = typeof given["destination"] === "string" ? given["destination"].replaceAll("..", "") : undefined;
  const parameters = { ...given, ...(text === undefined ? {} : { destination: `${directory}/${text}` }) };
  const action = keeper && actionWith(keeper, {}, { target: output.id, parameters });
  return action?.output?.parameters;
}

describe("a notifier", () => {
  it.each(notifiers)("takes its settings, or says what is wrong with them: $id", ({ settings: fields, check }) => {
    fc.assert(
      fc.property(hostileParameters({ params: fields as Fields, examples: [] }), (given) => {
        const { values, problems } = compileFields(fields).read(given);

        const faults = values === undefined ? problems : (check?.(values) ?? []);

        expect(faults.filter(({ message }) => message === "")).toEqual([]);
      }),
      { ...settings, numRuns: 200 },
    );
  });
});
