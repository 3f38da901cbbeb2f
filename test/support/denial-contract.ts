import { ApiException, ApiextensionsV1Api } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import type { Actionner } from "../../src/catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import type { Result } from "../../src/catalogue/outcome.ts";
import type { CustomKind, CustomObject, Kubernetes } from "../../src/clients/kubernetes/port.ts";
import { eventually, podTemplate, type TestCluster } from "./cluster.ts";
import { eventOf } from "./events.ts";
import { runActionner } from "./run-actionner.ts";

/** An actionner that denies a pod the event's remote IP by a network plugin's own policies. */
export interface DenialContract {
  readonly cluster: TestCluster;
  readonly actionner: Actionner;
  readonly kind: Omit<CustomKind, "remedy">;
  readonly podLabel: string;
  /** The whole spec of a policy for the pod whose label says this, with nothing allowed by the rule. */
  specOf(label: string, denied: readonly string[]): object;
  /** What of the spec allows. */
  allowedBy(spec: unknown): unknown;
  readonly allowed: { readonly params: object; readonly is: unknown };
}

const signal = () => AbortSignal.timeout(60_000);
const selector = { matchLabels: { app: "cart" } };

/** Whether the cluster knows the kind: `cluster up --crds` makes it so, and does not wait until it is served. */
export async function isServed(cluster: TestCluster, kind: Omit<CustomKind, "remedy">): Promise<boolean> {
  const isKnown = () => answers(cluster, kind);
  return (await isKnown()) || ((await isDefined(cluster, kind)) && eventually(isKnown));
}

async function answers({ kubernetes }: TestCluster, kind: Omit<CustomKind, "remedy">): Promise<boolean> {
  const place = { namespace: "default", name: "none" };
  try {
    await kubernetes.real.getCustomObject({ ...kind, remedy: "" }, place, signal());
    return true;
  } catch (error) {
    if (error instanceof ActionError && error.code === "not_found") {
      return false;
    }
    throw error;
  }
}

async function isDefined(
  { api }: TestCluster,
  { apiVersion, plural }: Pick<CustomKind, "apiVersion" | "plural">,
): Promise<boolean> {
  const name = `${plural}.${apiVersion.replace(/\/.*/, "")}`;
  try {
    await api.connection.makeApiClient(ApiextensionsV1Api).readCustomResourceDefinition({ name });
    return true;
  } catch (error) {
    if (error instanceof ApiException && error.code === 404) {
      return false;
    }
    throw error;
  }
}

/** What the actionner does where the cluster does not know the kind. */
export function describeMissing({ cluster, actionner, kind }: DenialContract, remedy: RegExp): void {
  it("fails where the cluster does not know its policies, and says what to do", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", wait: false });

    const error = await runActionner(actionner, { cluster, event: eventFrom(namespace, "192.0.2.7") });

    expect(error).toMatchObject({
      code: "not_found",
      message: expect.stringContaining(`the cluster has no ${kind.kind} of ${kind.apiVersion}: install `),
    });
    expect(error).toHaveProperty("message", expect.stringMatching(remedy));
    expect(error).not.toBeInstanceOf(TargetGone);
  });
}

function eventFrom(namespace: string, address: string, pod = "cart-1") {
  return eventOf({ pod: `${namespace}/${pod}`, fields: { "fd.rip": address } });
}

/** So many callers at once find the same policy, or none: each has looked before the first of them changes anything. */
function inStep(real: Kubernetes, callers: number): Kubernetes {
  const all = Promise.withResolvers<void>();
  let looked = 0;
  return {
    ...real,
    async getCustomObject(...call) {
      const policy = await real.getCustomObject(...call);
      looked += 1;
      if (looked === callers) {
        all.resolve();
      }
      await all.promise;
      return policy;
    },
  };
}

export function describeDenials(contract: DenialContract): void {
  const { cluster, actionner, kind, podLabel } = contract;
  const { core, apps, custom } = cluster.api;
  const real = cluster.kubernetes.real;
  const [group = "", version = ""] = kind.apiVersion.split("/");
  const path = { group, version, plural: kind.plural };

  async function policiesIn(namespace: string): Promise<CustomObject[]> {
    return (await custom.listNamespacedCustomObject({ ...path, namespace })).items;
  }

  async function onlyPolicyIn(namespace: string): Promise<CustomObject> {
    const [policy, ...others] = await policiesIn(namespace);
    expect(others).toEqual([]);
    if (policy === undefined) {
      throw new Error("there is no policy");
    }
    return policy;
  }

  async function pod(traits: object = {}) {
    const namespace = await cluster.namespace();
    const { metadata } = await cluster.pod(namespace, { name: "cart-1", wait: false, ...traits });
    return { namespace, uid: metadata?.uid ?? "", name: `hallux-cart-1-${metadata?.uid?.slice(0, 8)}` };
  }

  function run(namespace: string, address: string, more: object = {}): Promise<Result | ActionError> {
    return runActionner(actionner, { cluster, event: eventFrom(namespace, address), ...more });
  }

  async function labelsOf(namespace: string): Promise<Record<string, string>> {
    return (await core.readNamespacedPod({ namespace, name: "cart-1" })).metadata?.labels ?? {};
  }

  it("denies the pod the event's remote IP, and nothing else", async () => {
    const { namespace, name, uid } = await pod();

    const result = await run(namespace, "192.0.2.7", { rule: "Block miners" });

    expect(result).toMatchObject({
      status: "success",
      summary: "egress of the pod to 192.0.2.7/32 denied",
      objects: { namespace, pod: "cart-1", [kind.kind.toLowerCase()]: name },
      undo: `kubectl delete ${kind.plural}.${group} ${name} -n ${namespace} && kubectl label pod cart-1 -n ${namespace} ${podLabel}-`,
    });
    const { metadata, spec } = await onlyPolicyIn(namespace);
    expect(spec).toEqual(contract.specOf(name, ["192.0.2.7/32"]));
    expect(metadata).toMatchObject({
      name,
      labels: { "app.kubernetes.io/managed-by": "hallux" },
      annotations: { "hallux.dev/rule": "Block miners", "hallux.dev/pod": "cart-1" },
      ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "cart-1", uid }],
    });
    expect(await labelsOf(namespace)).toMatchObject({ [podLabel]: name });
  });

  it("gathers several addresses of both families in one policy, each once", async () => {
    const { namespace, name } = await pod();

    for (const address of ["192.0.2.7", "2001:DB8:0:0::7", "::ffff:192.0.2.7", "2001:db8::7", "198.51.100.1"]) {
      await run(namespace, address);
    }

    const { spec } = await onlyPolicyIn(namespace);
    expect(spec).toEqual(contract.specOf(name, ["192.0.2.7/32", "2001:db8::7/128", "198.51.100.1/32"]));
  });

  it("changes nothing at a second event about the same address", async () => {
    const { namespace, name } = await pod();
    await run(namespace, "192.0.2.7");
    const before = await policiesIn(namespace);

    const second = await run(namespace, "192.0.2.7");

    expect(second).toEqual({ status: "ignored", reason: `${kind.kind} ${name} denies 192.0.2.7/32 already` });
    expect(await policiesIn(namespace)).toEqual(before);
  });

  it("labels the pod again where somebody took the label away", async () => {
    const { namespace, name } = await pod();
    await run(namespace, "192.0.2.7");
    const body = [{ op: "remove", path: `/metadata/labels/${podLabel.replace("/", "~1")}` }];
    await core.patchNamespacedPod({ namespace, name: "cart-1", body });

    const second = await run(namespace, "192.0.2.7");

    expect(second).toMatchObject({ status: "success" });
    expect(await labelsOf(namespace)).toMatchObject({ [podLabel]: name });
  });

  it("loses no address where several are added at the same moment", async () => {
    const { namespace } = await pod();
    const together = (addresses: readonly string[]) => {
      const clients = { kubernetes: inStep(real, addresses.length) };
      return Promise.all(addresses.map((address) => run(namespace, address, { clients })));
    };

    const created = await together(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    const added = await together(["192.0.2.4", "192.0.2.5", "192.0.2.3"]);

    const statuses = [...created, ...added].map((one) => (one instanceof ActionError ? one.code : one.status));
    expect(statuses.sort()).toEqual(["ignored", ...Array<string>(5).fill("success")]);
    const { spec } = await onlyPolicyIn(namespace);
    const denied = [1, 2, 3, 4, 5].map((last) => `192.0.2.${last}/32`);
    expect(
      JSON.stringify(spec)
        .match(/192\.0\.2\.\d\/32/g)
        ?.sort(),
    ).toEqual(denied);
  });

  it("allows what the rule allows", async () => {
    const { namespace } = await pod();

    await run(namespace, "192.0.2.7", { params: contract.allowed.params });

    const { spec } = await onlyPolicyIn(namespace);
    expect(contract.allowedBy(spec)).toEqual(contract.allowed.is);
    expect(JSON.stringify(spec)).toContain("192.0.2.7/32");
  });

  it("replaces what is allowed where the rule has come to allow something else, and keeps the addresses", async () => {
    const { namespace } = await pod();
    await run(namespace, "192.0.2.7");

    const second = await run(namespace, "192.0.2.7", { params: contract.allowed.params });

    expect(second).toMatchObject({
      status: "success",
      summary: "egress of the pod to 192.0.2.7/32 denied already; what is allowed was replaced",
    });
    const { spec } = await onlyPolicyIn(namespace);
    expect(contract.allowedBy(spec)).toEqual(contract.allowed.is);
    expect(JSON.stringify(spec)).toContain("192.0.2.7/32");
  });

  it("does not let the event of another rule change what is allowed, and denies its address", async () => {
    const { namespace } = await pod();
    await run(namespace, "192.0.2.7", { rule: "strict", params: contract.allowed.params });

    const second = await run(namespace, "198.51.100.1", { rule: "lenient" });

    expect(second).toMatchObject({ status: "success" });
    const { spec, metadata } = await onlyPolicyIn(namespace);
    expect(contract.allowedBy(spec)).toEqual(contract.allowed.is);
    expect(JSON.stringify(spec)).toMatch(/192\.0\.2\.7\/32.*198\.51\.100\.1\/32/);
    expect(metadata.annotations).toMatchObject({ "hallux.dev/rule": "strict" });
  });

  it("never touches a policy of the name that is not Hallux's own", async () => {
    const { namespace, name } = await pod();
    const theirs = contract.specOf("theirs", ["203.0.113.1/32"]);
    const { apiVersion } = kind;
    const body = { apiVersion, kind: kind.kind, metadata: { name, namespace }, spec: theirs };
    await custom.createNamespacedCustomObject({ ...path, namespace, body });

    const error = await run(namespace, "192.0.2.7");

    expect(error).toMatchObject({
      code: "conflict",
      message: `${kind.kind} ${namespace}/${name} is not Hallux's own and was left as it is`,
    });
    expect((await onlyPolicyIn(namespace)).spec).toEqual(theirs);
    expect(await labelsOf(namespace)).not.toHaveProperty([podLabel]);
  });

  it("refuses an address too many instead of letting another one go", async () => {
    const { namespace, name } = await pod();
    await run(namespace, "192.0.2.7");
    const policy = await onlyPolicyIn(namespace);
    const full = Array.from({ length: 1000 }, (_, index) => `10.0.${index >> 8}.${index & 255}/32`);
    await real.replaceCustomObject({ ...kind, remedy: "" }, { ...policy, spec: contract.specOf(name, full) }, signal());

    const error = await run(namespace, "192.0.2.8");
    const known = await run(namespace, "10.0.3.1");

    expect(error).toMatchObject({
      code: "invalid",
      message: `${kind.kind} ${name} denies 1000 addresses already, the most that Hallux puts into one: cut the pod off with kubernetes:networkpolicy`,
    });
    expect(known).toMatchObject({ status: "ignored" });
    expect((await onlyPolicyIn(namespace)).spec).toEqual(contract.specOf(name, full));
  });

  it("asks for strict validation: a field that the cluster's schema lacks is not dropped without a word", async () => {
    const { namespace, name } = await pod();
    const spec = { ...contract.specOf(name, ["192.0.2.7/32"]), misspelt: true };
    const body = { apiVersion: kind.apiVersion, kind: kind.kind, metadata: { name, namespace }, spec };

    const creation = await real.createCustomObject({ ...kind, remedy: "" }, body, signal()).catch((error) => error);
    await run(namespace, "192.0.2.7");
    const policy = await onlyPolicyIn(namespace);
    const replacement = await real
      .replaceCustomObject({ ...kind, remedy: "" }, { ...policy, spec }, signal())
      .catch((error) => error);

    expect([creation, replacement]).toMatchObject([
      { code: "invalid", message: expect.stringContaining("misspelt") },
      { code: "invalid", message: expect.stringContaining("misspelt") },
    ]);
  });

  it("denies the address to all pods of the workload where the rule says so", async () => {
    const namespace = await cluster.namespace();
    const { metadata } = await apps.createNamespacedDeployment({
      namespace,
      body: { metadata: { name: "cart" }, spec: { replicas: 1, selector, template: podTemplate("cart") } },
    });
    const [first] = await eventually(async () => {
      const { items } = await core.listNamespacedPod({ namespace, labelSelector: "app=cart" });
      return items.length > 0 && items;
    });
    const event = eventFrom(namespace, "192.0.2.7", first?.metadata?.name);

    const result = await runActionner(actionner, { cluster, event, params: { scope: "workload" } });

    const name = `hallux-cart-${metadata?.uid?.slice(0, 8)}`;
    expect(result).toMatchObject({
      status: "success",
      summary: "egress of all pods of Deployment cart to 192.0.2.7/32 denied",
      undo: `kubectl delete ${kind.plural}.${group} ${name} -n ${namespace}`,
    });
    const policy = await onlyPolicyIn(namespace);
    expect(policy.metadata.ownerReferences).toMatchObject([{ kind: "Deployment", uid: metadata?.uid }]);
    expect(JSON.stringify(policy.spec)).toMatch(/app( == '|":")cart/);
  });

  it.each(["statefulset", "daemonset", "replicationcontroller", "job"])("knows the pods of a %s", async (workload) => {
    const namespace = await cluster.namespace();
    await create(workload, namespace, cluster);
    const pod = await eventually(async () => {
      const { items } = await core.listNamespacedPod({ namespace, labelSelector: "app=cart" });
      // A DaemonSet's pod for another test's node goes with that.
      return items.find(({ spec }) => spec?.nodeName !== undefined);
    });
    const event = eventFrom(namespace, "192.0.2.7", pod.metadata?.name);

    const result = await runActionner(actionner, { cluster, event, params: { scope: "workload" } });

    expect(result).toMatchObject({
      status: "success",
      summary: expect.stringMatching(/^egress of all pods of .* cart/),
    });
  });

  it.each([
    [{}, "the event has no remote IP (fd.rip, fd.sip)"],
    [{ "fd.rip": "<NA>", "fd.sip": "$(id)" }, "the event's remote IP is no IP address: fd.sip is $(id)"],
  ])("is ignored where the event has no remote IP (%o)", async (fields, reason) => {
    const { namespace } = await pod();

    const result = await runActionner(actionner, { cluster, event: eventOf({ pod: `${namespace}/cart-1`, fields }) });

    expect(result).toEqual({ status: "ignored", reason });
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it("fails for a pod of the node's network, which no policy reaches", async () => {
    const { namespace } = await pod({ hostNetwork: true });

    const error = await run(namespace, "192.0.2.7");

    expect(error).toMatchObject({ code: "invalid" });
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it("finds the pod gone, and leaves no policy behind", async () => {
    const namespace = await cluster.namespace();

    const error = await run(namespace, "192.0.2.7");

    expect(error).toBeInstanceOf(TargetGone);
    expect(await policiesIn(namespace)).toEqual([]);
  });

  it("changes nothing in a dry run, which the API server is asked for all the same", async () => {
    const { namespace } = await pod();

    const result = await run(namespace, "192.0.2.7", { dryRun: true });

    expect(result).toMatchObject({ status: "success" });
    expect(await policiesIn(namespace)).toEqual([]);
    expect(await labelsOf(namespace)).not.toHaveProperty([podLabel]);
  });

  describe.each(actionner.examples)("the example: $title", ({ parameters }) => {
    it("is taken by the cluster", async () => {
      const { namespace } = await pod();

      const result = await run(namespace, "192.0.2.7", { params: parameters });

      expect(result).toMatchObject({ status: "success" });
      expect(await policiesIn(namespace)).toHaveLength(1);
    });
  });
}

async function create(workload: string, namespace: string, { api: { apps, core, batch } }: TestCluster): Promise<void> {
  const metadata = { name: "cart" };
  const template = podTemplate("cart");
  switch (workload) {
    case "statefulset": {
      const spec = { replicas: 1, selector, template, serviceName: "cart" };
      return void (await apps.createNamespacedStatefulSet({ namespace, body: { metadata, spec } }));
    }
    case "daemonset":
      return void (await apps.createNamespacedDaemonSet({
        namespace,
        body: { metadata, spec: { selector, template } },
      }));
    case "replicationcontroller": {
      const spec = { replicas: 1, selector: selector.matchLabels, template };
      return void (await core.createNamespacedReplicationController({ namespace, body: { metadata, spec } }));
    }
    default: {
      const once = { ...template, spec: { ...template.spec, restartPolicy: "Never" } };
      return void (await batch.createNamespacedJob({ namespace, body: { metadata, spec: { template: once } } }));
    }
  }
}
