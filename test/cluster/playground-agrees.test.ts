import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Playground, startPlayground } from "../../playground/index.ts";
import { until } from "../support/until.ts";

/** The same requests to the playground and to the cluster of KUBECONFIG; the cluster's answers are right. */
interface Step {
  readonly method: string;
  /** `NS` stands for a fresh namespace. */
  readonly path: string;
  readonly body?: unknown;
  readonly type?: string;
  /** Waits for the pod `web` to be ready first. */
  readonly afterPodIsReady?: boolean;
}

interface Server {
  readonly url: string;
  readonly token: string;
  readonly ca: string | undefined;
}

interface Answer {
  readonly code: number;
  readonly body: string;
}

const kubeconfigPath = process.env["KUBECONFIG"];
const merge = "application/merge-patch+json";
const strategic = "application/strategic-merge-patch+json";
const jsonPatch = "application/json-patch+json";
const apply = "application/apply-patch+yaml";
const maps = "/api/v1/namespaces/NS/configmaps";
const pods = "/api/v1/namespaces/NS/pods";
const policies = "/apis/networking.k8s.io/v1/namespaces/NS/networkpolicies";
const deployments = "/apis/apps/v1/namespaces/NS/deployments";
const container = { name: "web", image: "busybox" };
const longName = "a".repeat(64);

const get = (path: string): Step => ({ method: "GET", path });
const post = (path: string, body: unknown, type?: string): Step => ({
  method: "POST",
  path,
  body,
  ...(type && { type }),
});
const put = (path: string, body: unknown): Step => ({ method: "PUT", path, body });
const patch = (path: string, type: string, body: unknown): Step => ({ method: "PATCH", path, body, type });
const remove = (path: string, body?: unknown): Step => ({ method: "DELETE", path, body });
const labels = (label: Record<string, unknown>) => ({ metadata: { labels: label } });

const steps: readonly Step[] = [
  get(`${pods}/nope`),
  get("/api/v1/namespaces/nope"),
  get("/api/v1/namespaces/nope/pods"),
  get("/api/v1/nodes/nope"),
  get(`${deployments}/nope`),
  get("/nope"),
  get("/api/v1/nope"),
  get("/apis/nope/v1"),
  get("/apis/apps/v1/namespaces/NS/nopes"),
  get(`${pods}/web/nope`),
  put(pods, {}),
  post(`${pods}/web`, {}),
  remove("/api/v1/pods"),

  post(maps, { metadata: { name: "settings" }, data: { a: "1" } }),
  post(maps, { metadata: { name: "settings" } }),
  post(maps, { metadata: { name: "Upper_Case" } }),
  post(maps, { metadata: { name: longName.repeat(4) } }),
  post(maps, { metadata: { generateName: "made-" } }),
  post(maps, { metadata: {} }),
  post(maps, { kind: "Pod", apiVersion: "v1", metadata: { name: "x" } }),
  post(maps, { metadata: { name: "x", namespace: "other" } }),
  post(maps, { metadata: { name: "x", resourceVersion: "5" } }),
  post("/api/v1/namespaces/nope/configmaps", { metadata: { name: "x" } }),
  post(maps, "{bad"),
  post(maps, ""),
  post(maps, "[]"),
  post(maps, { metadata: { name: "x" } }, "text/plain"),
  post(maps, { metadata: { name: "x", labels: { a: 5 } } }),
  post(maps, { metadata: { name: "x", labels: { a: "bad value!", "bad key!": "x" } } }),
  post(maps, { metadata: { name: "x", labels: { [longName]: longName } } }),
  post(maps, { metadata: { name: "x", labels: { "a/b/c": "x" } } }),
  post(maps, { metadata: { name: "x", labels: { "/b": "x" } } }),
  post(maps, { metadata: { name: "x", labels: { "a/": "x" } } }),
  post(maps, { metadata: { name: "x", labels: { "A_b/c": "x" } } }),
  post(`${maps}?fieldValidation=Strict`, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "x", foo: 1 },
    bar: 1,
  }),
  post(`${maps}?dryRun=All`, { metadata: { name: "dry" } }),
  get(`${maps}/dry`),
  post(`${maps}?dryRun=x`, { metadata: { name: "dry" } }),

  post(pods, { metadata: { name: "x" }, spec: { containers: [] } }),
  post(pods, { metadata: { name: "x" } }),
  post(pods, { metadata: { name: "x" }, spec: { containers: [{ name: "A_" }] } }),
  post(pods, { metadata: { name: "x" }, spec: { containers: [container, container] } }),
  post(pods, { metadata: { name: "web", labels: { app: "web" } }, spec: { containers: [container] } }),
  { ...patch(`${pods}/web`, merge, labels({ x: "y" })), afterPodIsReady: true },
  patch(`${pods}/web`, strategic, labels({ x: null })),
  patch(`${pods}/web`, merge, labels({ x: "bad value!" })),
  patch(`${pods}/web`, merge, labels({ "bad key!": "v" })),
  patch(`${pods}/web`, merge, labels({ x: 5 })),
  patch(`${pods}/web`, strategic, labels({ x: 5 })),
  patch(`${pods}/web`, merge, { metadata: { annotations: { "bad key!": "v" } } }),
  patch(`${pods}/web`, merge, { metadata: { annotations: { a: true } } }),
  patch(`${pods}/web`, merge, { metadata: { uid: "other", ...labels({ x: "y" }).metadata } }),
  patch(`${pods}/web`, strategic, { metadata: { uid: "other", ...labels({ x: "y" }).metadata } }),
  patch(`${pods}/web`, merge, { metadata: { resourceVersion: "1", ...labels({ x: "y" }).metadata } }),
  patch(`${pods}/web`, merge, { metadata: { name: "other" } }),
  patch(`${pods}/web`, merge, { spec: { nodeName: "other" } }),
  patch(`${pods}/web`, strategic, { spec: { restartPolicy: "Never" } }),
  patch(`${pods}/web`, strategic, { spec: { containers: [{ name: "web", image: "busybox:2" }] } }),
  patch(`${pods}/web`, merge, "{bad"),
  patch(`${pods}/web`, merge, "[1]"),
  patch(`${pods}/web`, "application/json", "{}"),
  patch(`${pods}/web`, "text/plain", "{}"),
  patch(`${pods}/nope`, merge, {}),
  patch(`${pods}/web?dryRun=All`, merge, labels({ dry: "run" })),
  get(`${pods}?labelSelector=dry%3Drun`),
  patch(`${pods}/web`, jsonPatch, [{ op: "test", path: "/metadata/labels/app", value: "no" }]),
  patch(`${pods}/web`, jsonPatch, [{ op: "test", path: "/metadata/labels/none", value: null }]),
  patch(`${pods}/web`, jsonPatch, [{ op: "test", path: "/metadata/labels/app", value: null }]),
  patch(`${pods}/web`, jsonPatch, [{ op: "test", path: "/metadata/nope/none", value: null }]),
  patch(`${pods}/web`, jsonPatch, [{ op: "test", path: "/metadata/name/none", value: null }]),
  patch(`${pods}/web`, jsonPatch, [{ op: "remove", path: "/metadata/labels/none" }]),
  patch(`${pods}/web`, jsonPatch, [{ op: "replace", path: "/metadata/labels/none", value: "x" }]),
  patch(`${pods}/web`, jsonPatch, [{ op: "add", path: "/metadata/nope/none", value: "x" }]),
  patch(`${pods}/web`, jsonPatch, [{ op: "what", path: "/metadata" }]),
  patch(`${pods}/web`, jsonPatch, {}),

  patch(`${maps}/applied`, apply, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "applied" } }),
  ...["a", "b"].map((value) =>
    patch(`${maps}/applied?fieldManager=${value}`, apply, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "applied" },
      data: { key: value },
    }),
  ),
  patch(`${maps}/applied?fieldManager=b`, apply, { kind: "ConfigMap", metadata: { name: "applied" } }),

  put(`${maps}/settings`, { metadata: { name: "other" } }),
  put(`${maps}/nope`, { metadata: { name: "nope" } }),
  put(`${maps}/settings`, { metadata: { name: "settings", resourceVersion: "1" } }),
  put(`${maps}/settings`, { metadata: { name: "settings", uid: "1" } }),
  put(`${maps}/settings`, { metadata: {} }),
  put(`${maps}/settings`, { metadata: { name: "settings" }, data: { b: "2" } }),

  remove(`${maps}/nope`),
  remove(`${pods}/web`, { preconditions: { uid: "other" } }),
  remove(`${pods}/web`, { preconditions: { resourceVersion: "1" } }),
  remove(`${maps}/settings`, { preconditions: { uid: "other" } }),
  remove(`${maps}/settings`, { propagationPolicy: "What" }),
  remove(`${maps}/settings`, "{bad"),
  remove(`${pods}/web?dryRun=All`),
  remove(`${maps}/settings?dryRun=All`),
  remove(`${maps}/settings`),
  get(`${maps}/settings`),
  post(maps, { metadata: { name: "held", finalizers: ["hallux.dev/test"] } }),
  remove(`${maps}/held`),
  post(maps, { metadata: { name: "held" } }),
  patch(`${maps}/held`, merge, { metadata: { finalizers: null } }),
  get(`${maps}/held`),

  ...["a b c", "a===b", "a in (x", "a in x", "!", ",", "a=b,,c", "a notin (web),app"].map((selector) =>
    get(`${pods}?labelSelector=${encodeURIComponent(selector)}`),
  ),
  ...["spec.what=x", "x", "metadata.name=web", "status.phase!=Running"].map((selector) =>
    get(`${pods}?fieldSelector=${encodeURIComponent(selector)}`),
  ),
  get(`${maps}?fieldSelector=data.a%3Dx`),
  get("/api/v1/namespaces/NS/events?fieldSelector=what%3Dx"),
  get(`${pods}?limit=x`),
  get(`${pods}?limit=1`),
  get(`${pods}?continue=abc`),
  get(`${pods}?watch=1&resourceVersion=abc`),
  get(`${pods}?resourceVersion=99999999`),

  get(`${pods}/web/log?container=nope`),
  get(`${pods}/web/log?tailLines=-1`),
  get(`${pods}/web/log?tailLines=x`),
  get(`${pods}/web/log?limitBytes=0`),
  get(`${pods}/web/log?limitBytes=5`),
  get(`${pods}/nope/log`),
  get(`${pods}/web/exec?command=ls`),
  get(`${pods}/nope/exec?command=ls`),

  post("/api/v1/namespaces/NS/events", {
    metadata: { name: "e" },
    involvedObject: { kind: "Pod", namespace: "other" },
  }),
  post("/api/v1/namespaces/NS/events", { metadata: { name: "e" }, involvedObject: { kind: "Node", name: "n" } }),
  post("/api/v1/namespaces/NS/events", { metadata: { name: "e" }, involvedObject: { kind: "Pod", namespace: "NS" } }),

  post(policies, {
    metadata: { name: "x" },
    spec: { podSelector: {}, egress: [{ to: [{ ipBlock: { cidr: "nope" } }] }] },
  }),
  post(policies, { metadata: { name: "x" }, spec: { podSelector: { matchLabels: { a: "bad value!" } } } }),
  post(policies, { metadata: { name: "x" }, spec: { podSelector: {}, policyTypes: ["Egress"] } }),

  post(deployments, { metadata: { name: "x" }, spec: {} }),
  post(deployments, {
    metadata: { name: "x" },
    spec: {
      selector: { matchLabels: { a: "b" } },
      template: { metadata: { labels: { a: "c" } }, spec: { containers: [container] } },
    },
  }),

  post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
    spec: { resourceAttributes: { verb: "get", resource: "pods" } },
  }),
  patch("/api/v1/nodes/node-1", strategic, { spec: { unschedulable: true } }),
  patch("/api/v1/nodes/node-1", strategic, { spec: { unschedulable: null } }),
  patch("/api/v1/nodes/node-1", strategic, { spec: { providerID: "x" } }),
  post("/api/v1/namespaces", { metadata: { name: "NS" } }),
  post("/api/v1/namespaces", { metadata: { name: "a.b" } }),
  remove("/api/v1/namespaces/default"),
  remove(`${pods}/web`, { gracePeriodSeconds: 0 }),
  get(`${pods}/web`),
];

describe.skipIf(kubeconfigPath === undefined)(
  "the playground, held against the cluster of KUBECONFIG (skipped without)",
  () => {
    const namespace = `agrees-${randomBytes(4).toString("hex")}`;
    let playground: Playground;
    let servers: { readonly playground: Server; readonly real: Server };

    beforeAll(async () => {
      playground = await startPlayground();
      const { url, token } = playground;
      servers = { playground: { url, token, ca: undefined }, real: await realServer(kubeconfigPath ?? "") };
      const home = post("/api/v1/namespaces", { metadata: { name: namespace } });
      await Promise.all(Object.values(servers).map((server) => send(server, home, namespace)));
      // Without it the real one admits no pod.
      const account = get(`/api/v1/namespaces/${namespace}/serviceaccounts/default`);
      await until(
        "the service account is there",
        async () => (await send(servers.real, account, namespace)).code === 200,
      );
    });

    afterAll(async () => {
      await send(servers.real, remove(`/api/v1/namespaces/${namespace}`), namespace);
      await playground.close();
    });

    it.each(
      steps.map((step) => [`${step.method} ${step.path} ${JSON.stringify(step.body ?? "")}`.slice(0, 160), step]),
    )("answers as the real one: %s", async (_title, step) => {
      const [ours, theirs] = await Promise.all(
        [servers.playground, servers.real].map(async (server) => {
          await (step.afterPodIsReady === true ? podIsReady(server, namespace) : undefined);
          return comparable(await send(server, step, namespace), namespace);
        }),
      );

      expect(ours).toEqual(theirs);
    });
  },
);

async function realServer(path: string): Promise<Server> {
  const config = parse(await readFile(path, "utf8")) as {
    clusters: [{ cluster: { server: string; "certificate-authority-data": string } }];
    users: [{ user: { token: string } }];
  };
  const { cluster } = config.clusters[0];
  const ca = Buffer.from(cluster["certificate-authority-data"], "base64").toString();
  return { url: cluster.server, token: config.users[0].user.token, ca };
}

function send(server: Server, step: Step, namespace: string): Promise<Answer> {
  const text = typeof step.body === "string" ? step.body : step.body === undefined ? "" : JSON.stringify(step.body);
  const body = text.replaceAll('"NS"', `"${namespace}"`);
  const options = {
    method: step.method,
    ca: server.ca,
    headers: {
      Authorization: `Bearer ${server.token}`,
      Accept: "application/json",
      "Content-Type": step.type ?? "application/json",
      "Content-Length": Buffer.byteLength(body),
    },
  };
  const url = `${server.url}${step.path.replace("/NS", `/${namespace}`)}`;
  return new Promise((resolve, reject) => {
    const request = server.ca === undefined ? httpRequest(url, options) : httpsRequest(url, options);
    request.once("error", reject).once("response", (response) => {
      let received = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        received += chunk;
      });
      response.once("end", () => resolve({ code: response.statusCode ?? 0, body: received }));
    });
    request.end(body);
  });
}

async function podIsReady(server: Server, namespace: string): Promise<void> {
  await expect
    .poll(async () => (await send(server, get(`${pods}/web`), namespace)).body, { timeout: 60_000 })
    .toMatch(/"type":\s*"Ready",\s*"status":\s*"True"/);
}

/** Status code and, of a refusal, its words; of anything else, its kind. What differs from run to run is levelled. */
function comparable({ code, body }: Answer, namespace: string): unknown {
  const level = (text: string) =>
    text
      .replaceAll(namespace, "NS")
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UID")
      .replaceAll(/\((\d+)\)|current: \d+/g, "VERSION")
      .replaceAll(/(json parse error|error decoding patch|continue key is not valid):.*/gs, "$1")
      .replaceAll(/\n@@.*/gs, "")
      .replaceAll(/Invalid value: "\{.*\}": /gs, "OBJECT");
  if (!body.startsWith("{")) {
    return { code };
  }
  const answer = JSON.parse(body) as Record<string, unknown> & { details?: { causes?: { message: string }[] } };
  if (answer["kind"] !== "Status") {
    return { code, kind: answer["kind"], items: Array.isArray(answer["items"]) ? answer["items"].length : undefined };
  }
  const causes = answer.details?.causes?.map((cause) =>
    level(JSON.stringify({ ...cause, message: level(cause.message) })),
  );
  return {
    code,
    reason: answer["reason"],
    message: sortedList(level(String(answer["message"]))),
    details: { ...answer.details, uid: undefined, causes: causes && [...new Set(causes)].toSorted() },
  };
}

/** The order of several faults is Go's, of a map. */
function sortedList(message: string): string {
  return message.replace(/\[(metadata.*)\]$/s, (_all, list: string) =>
    list
      .split(/, (?=metadata)/)
      .toSorted()
      .join(", "),
  );
}
