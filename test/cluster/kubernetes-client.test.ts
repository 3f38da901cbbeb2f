import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { V1Node, V1ObjectMeta } from "@kubernetes/client-node";
import { describe, expect, it, onTestFinished } from "vitest";
import type { WebSocket } from "ws";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import { createKubernetes, type KubernetesClients } from "../../src/clients/kubernetes/adapter.ts";
import type { Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";
import { eventually, podTemplate, useCluster } from "../support/cluster.ts";
import { execServer } from "../support/exec-server.ts";
import { memoryHeld } from "../support/memory.ts";

const cluster = await useCluster();
const { core, networking } = cluster.api;
const { real, dryRun } = cluster.kubernetes;
const execOptions = { container: "main", maxOutputBytes: 1024 };

function inTime(ms = 60_000): AbortSignal {
  return AbortSignal.timeout(ms);
}

function target(namespace: string, name: string, uid?: string) {
  return { kind: "pod", namespace, name, uid } as const;
}

function clientOf(kubeconfig: string): KubernetesClients {
  const kubernetes = createKubernetes({ kubeconfig: { from: "text", text: kubeconfig } });
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

/** The address of a server that answers every request so. */
async function serverAt(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  // A kept connection that is ended just when it is used again would be a fault that nobody asked for.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function serverThat(answer: RequestListener): Promise<KubernetesClients> {
  return clientOf(kubeconfigFor(await serverAt(answer)));
}

/** An API server that answers every exec so. */
async function execServerThat(converse: (socket: WebSocket) => void): Promise<KubernetesClients> {
  return clientOf(kubeconfigFor(await execServer(converse)));
}

function kubeconfigFor(server: string, user: object = { token: "secret" }): string {
  return JSON.stringify({
    clusters: [{ name: "c", cluster: { server } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
}

async function thrownBy(promise: Promise<unknown>): Promise<ActionError> {
  const error = await promise.then(
    () => new Error("nothing was thrown"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ActionError) {
    return error;
  }
  throw error;
}

describe("the pod as the port describes it", () => {
  it("has its owner, node, containers and sidecars", async () => {
    const namespace = await cluster.namespace();
    const made = await cluster.pod(namespace, {
      name: "cart-1",
      labels: { app: "cart" },
      containers: [{}, { name: "proxy" }],
    });

    const pod = await real.getPod(target(namespace, "cart-1"), inTime());

    expect(pod).toMatchObject({
      kind: "pod",
      namespace,
      name: "cart-1",
      uid: made.metadata?.uid,
      labels: { app: "cart" },
      owner: undefined,
      nodeName: made.spec?.nodeName,
      hostNetwork: false,
      mirror: false,
      phase: "Running",
      containers: [
        { name: "main", running: true, restartCount: 0 },
        { name: "proxy", running: true, restartCount: 0 },
      ],
    });
    expect(pod.containers[0]?.id).not.toMatch(/:/);
  });

  it("has the containers of kubectl debug, in which an attacker may sit too", async () => {
    const body = {
      metadata: { namespace: "shop", name: "cart-1" },
      spec: {
        containers: [{ name: "main", image: "shop/cart" }],
        ephemeralContainers: [{ name: "debugger", image: "busybox" }],
      },
      status: {
        containerStatuses: [{ name: "main", containerID: "containerd://1", state: { running: {} } }],
        ephemeralContainerStatuses: [{ name: "debugger", containerID: "containerd://2", state: { running: {} } }],
      },
    };
    const kubernetes = await serverThat((_request, response) =>
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body)),
    );

    const pod = await kubernetes.real.getPod(target("shop", "cart-1"), inTime());

    const state = { kind: "running" };
    const debuggers = [{ name: "debugger", image: "busybox", id: "2", running: true, state, restartCount: 0 }];
    expect(pod.containers).toEqual([
      { name: "main", image: "shop/cart", id: "1", running: true, state, restartCount: 0 },
      ...debuggers,
    ]);
    expect(pod.ephemeralContainers).toEqual(debuggers);
  });

  it("is gone where another one has its name", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", wait: false });

    const error = await thrownBy(real.getPod(target(namespace, "cart-1", crypto.randomUUID()), inTime()));

    expect(error).toBeInstanceOf(TargetGone);
  });
});

describe("exec", () => {
  async function running(): Promise<Pod> {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });
    return real.getPod(target(namespace, "cart-1"), inTime());
  }

  it("gives the exit code and both streams", async () => {
    const command = ["sh", "-c", "echo out; echo err >&2; exit 3"];

    const result = await real.exec(await running(), { ...execOptions, command }, inTime());

    expect(result).toEqual({ exitCode: 3, stdout: "out\n", stderr: "err\n", truncated: false });
  });

  it("passes each argument as it is", async () => {
    const hostile = "/tmp/$(touch pwned);x\n'\"`&?=#%20 é";
    const command = ["sh", "-c", 'printf %s "$1"', "sh", hostile];

    const result = await real.exec(await running(), { ...execOptions, command }, inTime());

    expect(result).toMatchObject({ exitCode: 0, stdout: hostile });
  });

  it("keeps no more output than asked for, without half a character", async () => {
    const command = ["sh", "-c", "printf ééééé; printf abcdefghij >&2"];

    const result = await real.exec(await running(), { ...execOptions, maxOutputBytes: 5, command }, inTime());

    expect(result).toEqual({ exitCode: 0, stdout: "éé", stderr: "abcde", truncated: true });
  });

  it("ends when its time is up, and leaves the pod running", async () => {
    const pod = await running();
    const command = ["sleep", "60"];

    const error = await thrownBy(real.exec(pod, { ...execOptions, command }, inTime(300)));

    expect(error).toMatchObject({ code: "timeout" });
    const after = await real.getPod(pod, inTime());
    expect(after.containers).toMatchObject([{ running: true, restartCount: 0 }]);
  });

  it("ends when it is cancelled, before and while it runs", async () => {
    const pod = await running();
    const stop = new AbortController();
    const going = thrownBy(real.exec(pod, { ...execOptions, command: ["sleep", "60"] }, stop.signal));

    stop.abort();
    const [during, before] = await Promise.all([
      going,
      thrownBy(real.exec(pod, { ...execOptions, command: ["true"] }, stop.signal)),
    ]);

    expect(during).toMatchObject({ code: "cancelled" });
    expect(before).toMatchObject({ code: "cancelled" });
  });

  it("finds the pod gone", async () => {
    const pod = { ...(await running()), name: "cart-2" };

    const error = await thrownBy(real.exec(pod, { ...execOptions, command: ["true"] }, inTime()));

    expect(error).toBeInstanceOf(TargetGone);
  });

  it("fails with the server's words for a container that is not there", async () => {
    const pod = await running();

    const error = await thrownBy(real.exec(pod, { ...execOptions, container: "nope", command: ["true"] }, inTime()));

    expect(error).toMatchObject({ code: "invalid", message: "container nope is not valid for pod cart-1" });
  });

  it.each([
    ["create", "get"],
    ["get", "create"],
  ])("names the permission where only %s is given, in a dry run too", async (verb, missing) => {
    const pod = await running();
    const user = await cluster.userWith([{ apiGroups: [""], resources: ["pods/exec"], verbs: [verb] }]);
    const kubernetes = clientOf(user);

    const errors = await Promise.all(
      [kubernetes.real, kubernetes.dryRun].map((client) =>
        thrownBy(client.exec(pod, { ...execOptions, command: ["true"] }, inTime())),
      ),
    );

    for (const error of errors) {
      expect(error).toMatchObject({
        code: "forbidden",
        message: expect.stringContaining(`not permitted to ${missing} pods/exec in`),
      });
    }
  });

  it.runIf(cluster.playground)("keeps the server's words where it is no permission that is missing", async () => {
    const pod = await running();
    const when = { resource: "pods", subresource: "exec" };
    cluster.playground?.faults.inject({ when, answer: 403, message: "denied by a policy", times: 1 });

    const error = await thrownBy(real.exec(pod, { ...execOptions, command: ["true"] }, inTime()));

    expect(error).toMatchObject({ code: "forbidden", message: expect.stringContaining("denied by a policy") });
  });

  it("runs nothing in a dry run", async () => {
    const pod = await running();

    const result = await dryRun.exec(pod, { ...execOptions, command: ["sh", "-c", "echo x > /tmp/ran"] }, inTime());
    const after = await real.exec(pod, { ...execOptions, command: ["sh", "-c", "test -e /tmp/ran"] }, inTime());

    expect(result).toEqual({ exitCode: 0, stdout: "", stderr: "", truncated: false });
    expect(after.exitCode).toBe(1);
  });

  it("holds in memory what it keeps, however much a hostile container writes", async () => {
    const mebibyte = Buffer.alloc(1024 * 1024, 1);
    const flooded = Promise.withResolvers<WebSocket>();
    const kubernetes = await execServerThat(async (socket) => {
      for (let sent = 0; sent < 256; sent++) {
        await new Promise((resolve) => socket.send(mebibyte, resolve));
      }
      socket.once("pong", () => flooded.resolve(socket));
      socket.ping();
    });
    const before = memoryHeld().arrayBuffers;
    const pod = { namespace: "shop", name: "cart-1" } as Pod;

    const going = kubernetes.real.exec(pod, { ...execOptions, command: ["yes"] }, inTime());
    const socket = await flooded.promise;
    const growth = memoryHeld().arrayBuffers - before;
    socket.send(Buffer.from(`\u0003${JSON.stringify({ status: "Success" })}`));

    expect(await going).toMatchObject({ stdout: "\u0001".repeat(1024), truncated: true });
    expect(growth).toBeLessThan(128 * mebibyte.length);
  });

  it.each<[string, (socket: WebSocket, deadline: AbortController) => void]>([
    ["the command has ended", (socket) => socket.send(Buffer.from('\u0003{"status":"Success"}'))],
    ["its time is up", (_socket, deadline) => deadline.abort(new DOMException("", "TimeoutError"))],
  ])("closes the socket when %s, and does not wait for the other side", async (_when, converse) => {
    const closed = Promise.withResolvers<number>();
    const deadline = new AbortController();
    const kubernetes = await execServerThat((socket) => {
      socket.once("close", closed.resolve);
      socket.once("pong", () => converse(socket, deadline));
      socket.ping();
    });
    const pod = { namespace: "shop", name: "cart-1" } as Pod;

    await kubernetes.real.exec(pod, { ...execOptions, command: ["true"] }, deadline.signal).catch(() => undefined);

    // 1006: without a closing handshake.
    expect(await closed.promise).toBe(1006);
  });

  it("is unavailable where the connection ends before the command does", async () => {
    const pod = await running();
    const kubernetes = await serverThat((request) => request.socket.destroy());

    const error = await thrownBy(kubernetes.real.exec(pod, { ...execOptions, command: ["true"] }, inTime()));

    expect(error).toMatchObject({ code: "unavailable" });
  });
});

describe("getWorkload", () => {
  it("does not take another workload of the same name for the owner", async () => {
    const namespace = await cluster.namespace();
    const { metadata } = await cluster.api.apps.createNamespacedDeployment({
      namespace,
      body: {
        metadata: { name: "cart" },
        spec: { replicas: 0, selector: { matchLabels: { app: "cart" } }, template: podTemplate("cart") },
      },
    });
    const owner = { apiVersion: "apps/v1", kind: "Deployment", name: "cart", uid: metadata?.uid ?? "" };

    const found = await real.getWorkload(namespace, owner, inTime());
    const error = await thrownBy(real.getWorkload(namespace, { ...owner, uid: crypto.randomUUID() }, inTime()));

    expect(found).toMatchObject({ ...owner, replicas: 0 });
    expect(error).toMatchObject({
      code: "not_found",
      message: expect.stringContaining("another one has taken its name"),
    });
  });
});

describe("countReadyPods", () => {
  it("counts the workload's own ready pods, without those being deleted", async () => {
    const owned = (uid: string) => ({ apiVersion: "apps/v1", kind: "ReplicaSet", name: "cart", uid, controller: true });
    const pod = (name: string, owner: string, ready: string, deletionTimestamp?: string) => ({
      metadata: { name, ownerReferences: [owned(owner)], deletionTimestamp },
      status: { conditions: [{ type: "Ready", status: ready }] },
    });
    const asked: (string | undefined)[] = [];
    const items = [
      pod("healthy", "owner-1", "True"),
      pod("starting", "owner-1", "False"),
      pod("leaving", "owner-1", "True", "2026-11-21T10:00:00Z"),
      pod("stranger", "owner-2", "True"),
    ];
    const kubernetes = await serverThat(async (request, response) => {
      asked.push(new URL(request.url ?? "", "http://api").searchParams.get("labelSelector") ?? undefined);
      const list = { kind: "PodList", apiVersion: "v1", metadata: {}, items };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(list));
    });
    const selector = {
      matchLabels: { app: "cart" },
      matchExpressions: [
        { key: "tier", operator: "In", values: ["front", "back"] },
        { key: "canary", operator: "DoesNotExist" },
      ],
    };
    const workload = {
      ...owned("owner-1"),
      namespace: "shop",
      replicas: 3,
      readyReplicas: 3,
      selector,
      owner: undefined,
    };

    const count = await kubernetes.real.countReadyPods(workload, inTime());

    expect(count).toBe(1);
    expect(asked).toEqual(["app=cart,tier in (front,back),!canary"]);
  });

  it("finds the pods of a real ReplicaSet", async () => {
    const namespace = await cluster.namespace();
    const selector = { matchExpressions: [{ key: "app", operator: "In", values: ["cart"] }] };
    const spec = { replicas: 2, selector, template: podTemplate("cart") };
    await cluster.api.apps.createNamespacedReplicaSet({ namespace, body: { metadata: { name: "cart" }, spec } });
    const { metadata } = await cluster.api.apps.readNamespacedReplicaSet({ namespace, name: "cart" });
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "cart", uid: metadata?.uid ?? "" };

    const counted = await eventually(async () => {
      const workload = await real.getWorkload(namespace, owner, inTime());
      return workload !== undefined && (await real.countReadyPods(workload, inTime())) === 2;
    });

    expect(counted).toBe(true);
  });
});

describe("deleteResource", () => {
  it("deletes on condition that the object is still the one it has seen", async () => {
    const bodies: string[] = [];
    const kubernetes = await serverThat(async (request, response) => {
      bodies.push(Buffer.concat(await request.toArray()).toString());
      response.writeHead(200, { "content-type": "application/json" }).end('{"metadata":{"name":"s","uid":"uid-1"}}');
    });

    await kubernetes.real.deleteResource(
      { kind: "resource", resource: "secrets", namespace: "shop", name: "s" },
      inTime(),
    );

    expect(JSON.parse(bodies[1] ?? "")).toMatchObject({ preconditions: { uid: "uid-1" } });
  });

  it("leaves an object alone that has taken the name of the one that was seen", async () => {
    const namespace = await cluster.namespace();
    const name = "settings";
    const place = { kind: "resource", resource: "configmaps", namespace, name } as const;
    const make = () => cluster.api.core.createNamespacedConfigMap({ namespace, body: { metadata: { name } } });
    await make();
    const { uid } = await real.getResource(place, inTime());
    await cluster.api.core.deleteNamespacedConfigMap({ namespace, name });
    const successor = await make();

    await expect(real.deleteResource({ ...place, uid }, inTime())).rejects.toBeInstanceOf(TargetGone);

    expect((await real.getResource(place, inTime())).uid).toBe(successor.metadata?.uid);
  });
});

describe("podLog", () => {
  it("gives the last lines, and no more bytes than asked for", async () => {
    const namespace = await cluster.namespace();
    const command = ["sh", "-c", "echo one; echo two; echo three; exec sleep 3600"];
    await cluster.pod(namespace, { name: "cart-1", containers: [{ command }] });
    cluster.playground?.log(namespace, "cart-1", "main", ["one", "two", "three"]);
    const pod = await real.getPod(target(namespace, "cart-1"), inTime());
    const read = async (options: { tailLines: number; limitBytes: number }) =>
      Buffer.from(await real.podLog(pod, { container: "main", previous: false, ...options }, inTime())).toString();

    const lines = await eventually(async () => {
      const text = await read({ tailLines: 2, limitBytes: 1000 });
      return text.includes("three") && text;
    });
    const bytes = await read({ tailLines: 2, limitBytes: 5 });

    expect(lines).toBe("two\nthree\n");
    expect(bytes).toBe("two\nt");
  });

  it("fails with the server's words for a container that is not there", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1" });
    const pod = await real.getPod(target(namespace, "cart-1"), inTime());
    const options = { container: "nope", tailLines: 1, previous: false, limitBytes: 10 };

    const error = await thrownBy(real.podLog(pod, options, inTime()));

    expect(error).toMatchObject({ code: "invalid", message: "container nope is not valid for pod cart-1" });
  });
});

describe("createEvent", () => {
  const eventAbout = (pod: Pod) => ({
    id: "1b6a",
    namespace: pod.namespace,
    about: { apiVersion: "v1", kind: "Pod", name: pod.name, namespace: pod.namespace, uid: pod.uid },
    type: "Warning" as const,
    reason: "HalluxLabelFailed",
    message: "it did not work",
    action: "KubernetesLabel",
  });

  it("makes an event of the pod's, and none in a dry run", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", wait: false });
    const pod = await real.getPod(target(namespace, "cart-1"), inTime());

    await dryRun.createEvent(eventAbout(pod), inTime());
    await real.createEvent(eventAbout(pod), inTime());

    const fieldSelector = `involvedObject.uid=${pod.uid}`;
    const { items } = await core.listNamespacedEvent({ namespace, fieldSelector });
    const ours = items.filter(({ source }) => source?.component === "hallux");
    expect(ours).toMatchObject([
      { type: "Warning", reason: "HalluxLabelFailed", message: "it did not work", action: "KubernetesLabel", count: 1 },
    ]);
  });

  it("fails where the namespace is gone", async () => {
    const namespace = await cluster.namespace();
    await cluster.pod(namespace, { name: "cart-1", wait: false });
    const pod = await real.getPod(target(namespace, "cart-1"), inTime());
    const away = { ...pod, namespace: "hallux-test-nowhere" };

    const error = await thrownBy(real.createEvent(eventAbout(away), inTime()));

    expect(error).toMatchObject({ code: "not_found" });
    expect(error).not.toBeInstanceOf(TargetGone);
  });
});

describe("a dry run", () => {
  it("changes nothing by any call", async () => {
    const namespace = await cluster.namespace();
    const node = await cluster.node({ labels: { zone: "green" } });
    await cluster.pod(namespace, { name: "cart-1", labels: { app: "cart" }, wait: false, nodeName: node });
    const policy = {
      metadata: { namespace, name: "theirs" },
      spec: { podSelector: {}, policyTypes: ["Ingress"] },
    };
    await real.createNetworkPolicy(policy, inTime());
    // Not the resourceVersion: controllers write the pod's status meanwhile.
    const podState = ({ uid, labels, deletionTimestamp }: V1ObjectMeta = {}) => ({ uid, labels, deletionTimestamp });
    const nodeState = ({ metadata, spec }: V1Node) => ({
      labels: metadata?.labels,
      spec: spec?.unschedulable ?? false,
    });
    const state = async () => ({
      pod: podState((await core.readNamespacedPod({ namespace, name: "cart-1" })).metadata),
      policies: (await networking.listNamespacedNetworkPolicy({ namespace })).items.map(({ metadata }) => [
        metadata?.name,
        metadata?.resourceVersion,
      ]),
      node: nodeState(await core.readNode({ name: node })),
    });
    const before = await state();

    const pod = await dryRun.getPod(target(namespace, "cart-1"), inTime());
    await dryRun.patchPod(pod, { labels: { a: "b" } }, inTime());
    const addedToPod = await dryRun.addLabelsToPod(pod, { a: "b" }, inTime());
    await dryRun.patchNode(node, { unschedulable: true }, inTime());
    const addedToNode = await dryRun.addLabelsToNode(node, { a: "b" }, inTime());
    await dryRun.createNetworkPolicy({ ...policy, metadata: { namespace, name: "ours" } }, inTime());
    const read = await dryRun.getNetworkPolicy(namespace, "theirs", inTime());
    await dryRun.replaceNetworkPolicySpec(read ?? {}, { podSelector: {}, policyTypes: ["Egress"] }, inTime());
    await dryRun.deleteResource({ kind: "resource", resource: "pods", namespace, name: "cart-1" }, inTime());
    await dryRun.deletePod(pod, { gracePeriodSeconds: 0 }, inTime());

    expect([addedToPod?.labels, addedToNode?.labels]).toMatchObject([{ a: "b" }, { a: "b" }]);
    expect(await state()).toEqual(before);
  });
});

describe("errors", () => {
  const pod = target("shop", "cart-1");

  it.each<[string, (kubernetes: Kubernetes) => Promise<unknown>]>([
    ["a request", (kubernetes) => kubernetes.getPod(pod, inTime())],
    ["exec", (kubernetes) => kubernetes.exec(pod as unknown as Pod, { ...execOptions, command: ["true"] }, inTime())],
  ])("are unavailable for %s where nobody listens", async (_, call) => {
    const kubernetes = clientOf(kubeconfigFor("https://127.0.0.1:1"));

    const error = await thrownBy(call(kubernetes.real));

    expect(error).toMatchObject({ code: "unavailable", message: expect.stringContaining("ECONNREFUSED") });
  });

  it("say how long a throttling server wants us to wait", async () => {
    const kubernetes = await serverThat((_request, response) => response.writeHead(429, { "retry-after": "7" }).end());

    const error = await thrownBy(kubernetes.real.getPod(pod, inTime()));

    expect(error).toMatchObject({ code: "throttled", retryAfterMs: 7000 });
  });

  it("are unavailable for a broken server, in the words of what stands before it", async () => {
    const kubernetes = await serverThat((_request, response) => response.writeHead(502).end("<h1>Bad Gateway</h1>"));

    const error = await thrownBy(kubernetes.real.getPod(pod, inTime()));

    expect(error).toMatchObject({ code: "unavailable", message: "<h1>Bad Gateway</h1>" });
  });

  it("are timeout or cancelled as the signal says, and the socket is closed", async () => {
    const closed = Promise.withResolvers<void>();
    const [stop, deadline] = [new AbortController(), new AbortController()];
    const kubernetes = await serverThat((request) => {
      request.socket.once("close", closed.resolve);
      deadline.abort(new DOMException("", "TimeoutError"));
    });
    const cancelled = thrownBy(kubernetes.real.getPod(pod, stop.signal));
    const timedOut = thrownBy(kubernetes.real.getPod(pod, deadline.signal));

    stop.abort();

    expect(await cancelled).toMatchObject({ code: "cancelled" });
    expect(await timedOut).toMatchObject({
      code: "timeout",
      message: "the request to get pods in namespace shop took too long",
    });
    await closed.promise;
  });

  it("name a kubeconfig that cannot be read", async () => {
    const kubernetes = createKubernetes({ kubeconfig: { from: "file", path: "/nowhere/kubeconfig" } });

    const error = await thrownBy(kubernetes.load());

    expect(error).toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^cannot load the kubeconfig \/nowhere\/kubeconfig: ENOENT/),
    });
  });

  it("name a kubeconfig without a cluster", async () => {
    const error = await thrownBy(clientOf("{}").load());

    expect(error).toMatchObject({ code: "unavailable" });
  });

  it("name the line of a broken kubeconfig, and no secret around it", async () => {
    const error = await thrownBy(clientOf("users:\n- user:\n    token: s3cr3t: oops\n").load());

    expect(error).toMatchObject({ code: "unavailable", message: expect.stringMatching(/\(3:18\)$/) });
    expect(error.cause).toBeUndefined();
  });

  it("say that a credential plugin's answer is no JSON, and do not repeat it", async () => {
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "echo", args: ["s3cr3t"] };
    const kubernetes = clientOf(kubeconfigFor("https://127.0.0.1:1", { exec }));

    const error = await thrownBy(kubernetes.real.getPod(pod, inTime()));

    expect(error).toMatchObject({
      code: "unavailable",
      message: "no credentials for the API server: the credential plugin's answer is not JSON",
    });
    expect(error.cause).toBeUndefined();
  });

  it("say that there are no credentials", async () => {
    const user = { tokenFile: "/nowhere/token" };
    const kubernetes = clientOf(kubeconfigFor("https://127.0.0.1:1", user));

    const error = await thrownBy(kubernetes.real.getPod(pod, inTime()));

    expect(error).toMatchObject({ code: "unavailable", message: expect.stringContaining("/nowhere/token") });
  });
});

describe("the connection", () => {
  const answerWith =
    (seen: (request: IncomingMessage) => void): RequestListener =>
    (request, response) => {
      seen(request);
      response
        .writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify({ metadata: { name: "cart-1" } }));
    };

  it("is used again by the calls that follow, and carries the user's credentials", async () => {
    const sockets = new Set<unknown>();
    const seen = new Set<string | undefined>();
    const kubernetes = await serverThat(
      answerWith(({ socket, headers }) => {
        sockets.add(socket);
        seen.add(headers.authorization);
      }),
    );

    for (let call = 0; call < 50; call++) {
      await kubernetes.real.getPod(target("shop", "cart-1"), inTime());
    }

    expect(sockets.size).toBeLessThan(5);
    expect([...seen]).toEqual(["Bearer secret"]);
  });

  it("is a new one when the certificates have been renewed", async () => {
    const directory = await mkdtemp(join(tmpdir(), "hallux-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const authority = join(directory, "ca.pem");
    const sockets = new Set<unknown>();
    const server = await serverAt(answerWith(({ socket }) => sockets.add(socket)));
    const kubeconfig = JSON.parse(kubeconfigFor(server));
    kubeconfig.clusters[0].cluster["certificate-authority"] = authority;
    const kubernetes = clientOf(JSON.stringify(kubeconfig));
    const call = () => kubernetes.real.getPod(target("shop", "cart-1"), inTime());

    await writeFile(authority, "old");
    for (let calls = 0; calls < 10; calls++) {
      await call();
    }
    const before = sockets.size;
    await writeFile(authority, "new");
    await call();

    expect(before).toBeLessThan(5);
    expect(sockets.size).toBe(before + 1);
  });

  it("takes an address that ends in a slash, and one with a path", async () => {
    const paths: (string | undefined)[] = [];
    const server = await serverAt(answerWith(({ url }) => paths.push(url)));

    for (const address of [`${server}/`, `${server}/k8s/clusters/c-1//`]) {
      await clientOf(kubeconfigFor(address)).real.getPod(target("shop", "cart-1"), inTime());
    }

    const path = "/api/v1/namespaces/shop/pods/cart-1";
    expect(paths).toEqual([path, `/k8s/clusters/c-1${path}`]);
  });

  it("needs no users: kubectl writes null where there are none, as for its proxy", async () => {
    const server = await serverAt(answerWith(() => undefined));
    const kubernetes = clientOf(JSON.stringify({ ...JSON.parse(kubeconfigFor(server)), users: null }));

    const pod = await kubernetes.real.getPod(target("shop", "cart-1"), inTime());

    expect(pod.name).toBe("cart-1");
  });

  it("takes the token from the user's file", async () => {
    const directory = await mkdtemp(join(tmpdir(), "hallux-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, "token"), "from-the-file\n");
    const seen: (string | undefined)[] = [];
    const server = await serverAt(answerWith(({ headers }) => seen.push(headers.authorization)));
    await writeFile(join(directory, "config"), kubeconfigFor(server, { tokenFile: "token", token: "old" }));
    const kubernetes = createKubernetes({ kubeconfig: { from: "file", path: join(directory, "config") } });
    onTestFinished(() => kubernetes.close());

    await kubernetes.real.getPod(target("shop", "cart-1"), inTime());

    expect(seen).toEqual(["Bearer from-the-file"]);
  });

  it("asks the user's credential plugin for a token, once", async () => {
    const directory = await mkdtemp(join(tmpdir(), "hallux-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const calls = join(directory, "calls");
    const credential = {
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      status: { token: "from-the-plugin" },
    };
    const script = `require("fs").appendFileSync(process.argv[1], "x"); console.log(process.argv[2])`;
    const args = ["-e", script, calls, JSON.stringify(credential)];
    const exec = { apiVersion: credential.apiVersion, command: process.execPath, args, interactiveMode: "Never" };
    const seen: (string | undefined)[] = [];
    const server = await serverAt(answerWith(({ headers }) => seen.push(headers.authorization)));
    const kubernetes = clientOf(kubeconfigFor(server, { exec }));

    await kubernetes.real.getPod(target("shop", "cart-1"), inTime());
    await kubernetes.real.getPod(target("shop", "cart-1"), inTime());

    expect(seen).toEqual(["Bearer from-the-plugin", "Bearer from-the-plugin"]);
    expect(await readFile(calls, "utf8")).toBe("x");
  });
});
