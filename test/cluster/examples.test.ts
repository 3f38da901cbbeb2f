import { readFile } from "node:fs/promises";
import { describe, expect, it, vi } from "vitest";
import { log } from "../../actionners/kubernetes/log.ts";
import type { Actionner } from "../../src/catalogue/catalogue.ts";
import { describeEntries } from "../../src/catalogue/describe.ts";
import type { Result } from "../../src/catalogue/outcome.ts";
import { loadRules } from "../../src/rules/load.ts";
import type { Action } from "../../src/rules/rule.ts";
import { cloudPorts } from "../support/cloud-ports.ts";
import { useCluster } from "../support/cluster.ts";
import { isServed } from "../support/denial-contract.ts";
import { eventOf } from "../support/events.ts";
import { type ExampleStage, exampleStage } from "../support/example-stage.ts";
import { giveImagesPrograms, hasImages, withoutImages } from "../support/images.ts";
import { realCatalogue } from "../support/real-catalogue.ts";
import { fetchContext, runActionner } from "../support/run-actionner.ts";
import { memoryStore } from "../support/stored.ts";

/** One of the examples captures for a minute. */
vi.setConfig({ testTimeout: 150_000 });

const cluster = await useCluster();
const images = await hasImages(cluster);
const withoutKind = "skipped: the cluster was not started with --crds";

/** What an actionner needs beyond a plain Kubernetes, and this cluster lacks. */
const lacks: Readonly<Record<string, string | undefined>> = {
  "kubernetes:tcpdump": images ? undefined : withoutImages,
  "kubernetes:sysdig": images ? undefined : withoutImages,
  "calico:networkpolicy": (await serves("projectcalico.org/v3", "networkpolicies")) ? undefined : withoutKind,
  "cilium:networkpolicy": (await serves("cilium.io/v2", "ciliumnetworkpolicies")) ? undefined : withoutKind,
};

function serves(apiVersion: string, plural: string): Promise<boolean> {
  return isServed(cluster, { apiVersion, kind: plural, plural });
}

const examples = describeEntries("actionners", realCatalogue).flatMap(({ id, examples: all }) =>
  all.map((example) => ({ id, ...example })),
);
const runnable = examples.filter(({ id }) => lacks[id] === undefined);
const skipped = examples.filter(({ id }) => lacks[id] !== undefined);

/** As the reference shows it: the rule is loaded, and its action is what runs. */
function actionOf(rule: string): {
  readonly action: Action;
  readonly actionner: Actionner;
  readonly params: Readonly<Record<string, unknown>>;
} {
  const { rules, problems } = loadRules([{ path: "example.yaml", text: rule }], realCatalogue);
  expect(problems).toEqual([]);
  const [action] = rules?.rules[0]?.actions ?? [];
  if (action === undefined) {
    throw new Error("the example has no action");
  }
  return { action, actionner: action.actionner, params: action.parameters };
}

async function stageFor(actionner: Actionner, params: object): Promise<ExampleStage> {
  const stage = await exampleStage(cluster, actionner);
  if (images && actionner.output === "required") {
    await giveImagesPrograms(cluster, stage.namespace);
  }
  if ("namespace" in params && cluster.real) {
    await makeNamespace(String(params.namespace));
  }
  return stage;
}

/** Where examples say where their objects go; made once, so that each finds it. */
const made = new Map<string, Promise<void>>();

function makeNamespace(name: string): Promise<void> {
  const making = made.get(name) ?? cluster.namespace(name).then(() => giveImagesPrograms(cluster, name));
  made.set(name, making);
  return making;
}

function run(stage: ExampleStage, rule: string, { dryRun = false } = {}) {
  const { actionner, params } = actionOf(rule);
  const { clients } = cloudPorts();
  return runActionner(actionner, {
    event: stage.event,
    cluster,
    params: stage.placed(params),
    clients,
    dryRun,
    signal: AbortSignal.timeout(120_000),
    ...(actionner.output === "none" ? {} : { store: memoryStore().store }),
  });
}

describe("the examples of the actionners", () => {
  it.each(runnable)("work: $id, $title", async ({ rule }) => {
    const { actionner, params } = actionOf(rule);
    const stage = await stageFor(actionner, params);

    const outcome = await run(stage, rule);

    expect(outcome).toMatchObject({ status: "success", summary: expect.stringMatching(/^[a-z0-9`].*[^.]$/) });
    const { target, objects, artifact } = outcome as Extract<Result, { status: "success" }>;
    expect(target?.kind ?? "none").toBe(actionner.target);
    expect(Object.keys(objects).length).toBeGreaterThan(0);
    expect(Object.values(objects).filter((name) => typeof name !== "string" || name === "")).toEqual([]);
    expect(artifact !== undefined && artifact.bytes > 0).toBe(actionner.output !== "none");
  });

  it.each(runnable)("change nothing in a dry run: $id, $title", async ({ rule }) => {
    const { actionner, params } = actionOf(rule);
    const stage = await stageFor(actionner, params);
    const before = await stage.objects();

    const outcome = await run(stage, rule, { dryRun: true });

    expect(outcome).toMatchObject({ status: "success" });
    expect(await stage.objects()).toEqual(before);
  });

  const repeatable = runnable.filter(({ id }) => realCatalogue.actionners.get(id)?.idempotent);

  it.each(repeatable)("leave the same state when run twice: $id, $title", async ({ rule }) => {
    const { actionner, params } = actionOf(rule);
    const stage = await stageFor(actionner, params);
    await run(stage, rule);
    const once = await settled(stage);

    const again = await run(stage, rule);

    expect("code" in again ? again.constructor.name : again.status).toMatch(/^(success|ignored|TargetGone)$/);
    expect(await settled(stage)).toEqual(once);
  });

  const needy = [...realCatalogue.actionners.values()].filter(({ needs }) => needs !== undefined);

  it.each(needy)("are for events that have what the actionner needs, else it is ignored: $id", async (actionner) => {
    const event = eventOf({ pod: "shop/cart-1" });

    const outcome = await runActionner(actionner, { event, cluster, params: actionner.examples[0]?.parameters ?? {} });

    expect(outcome).toMatchObject({ status: "ignored" });
    const names = (actionner.needs ?? []).flatMap((need) => need.split(" or "));
    expect(names.filter((name) => !JSON.stringify(outcome).includes(name))).toEqual([]);
  });

  it.skip.each(skipped.map((example) => ({ ...example, why: lacks[example.id] })))(
    "$id, $title: $why",
    () => undefined,
  );
});

/** Whose owners are gone, so that they go too. */
function orphans(objects: Awaited<ReturnType<ExampleStage["objects"]>>): readonly unknown[] {
  const uids = new Set(objects.map(({ metadata }) => metadata.uid));
  return objects.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => !uids.has(uid)));
}

/** Once controllers have done what follows. */
async function settled(stage: ExampleStage): Promise<readonly unknown[]> {
  return vi.waitFor(
    async () => {
      expect(await stage.isComplete()).toBe(true);
      const [one, other] = [await stage.objects(), await stage.objects()];
      expect(other).toEqual(one);
      expect(JSON.stringify(one)).not.toContain("deletionTimestamp");
      expect(orphans(one)).toEqual([]);
      return one;
    },
    { timeout: 60_000, interval: 300 },
  );
}

describe("the examples of the outputs", () => {
  const stored = describeEntries("outputs", realCatalogue).flatMap(({ id, examples: all }) =>
    all.map((example) => ({ id, ...example })),
  );

  it.each(stored)("store all of an artifact, and say where: $id, $title", async ({ rule }) => {
    const { actionner, action } = actionOf(rule);
    const stage = await exampleStage(cluster, actionner);
    const { clients, calls } = cloudPorts();
    const evidence = Buffer.from("evidence");
    const artifact = {
      key: "2026-11-21T08-15-00Z_shop_cart-1_log",
      contentType: "text/plain",
      body: (async function* () {
        yield evidence;
      })(),
      digest: () => ({ bytes: evidence.length, sha256: "00" }),
    };

    const answer = await action.output?.output.store({
      ...{ artifact, params: stage.placed(action.output.parameters), dryRun: false },
      clients: { ...clients, kubernetes: cluster.kubernetes.real },
      signal: AbortSignal.timeout(60_000),
    });

    const { location = "" } = answer ?? {};
    const sent = calls.map(({ subject }) => (subject as { readonly bytes: Buffer }).bytes);
    expect(location).toMatch(new RegExp(`(^|/)${artifact.key}$`));
    expect(sent.length === 0 ? [await readFile(location)] : sent).toEqual([evidence]);
  });
});

describe("the contexts", () => {
  it.each([...realCatalogue.contexts.values()])("give facts, and none that they do not name: $id", async (context) => {
    const stage = await exampleStage(cluster, log);

    const facts = await fetchContext(context, { event: stage.event, cluster, clients: cloudPorts().clients });

    expect(Object.keys(facts).length).toBeGreaterThan(0);
    expect(Object.keys(facts).filter((name) => !context.elements.includes(name))).toEqual([]);
    expect(Object.values(facts).filter((fact) => typeof fact !== "string")).toEqual([]);
  });
});
