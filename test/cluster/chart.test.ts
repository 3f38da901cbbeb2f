import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { mount, type Namespace, writeTokenOf } from "../chart/deployed.ts";
import {
  chart,
  find,
  helm,
  must,
  objectsIn,
  programNamed,
  type Rendered,
  run,
  template,
  type Values,
} from "../chart/helm.ts";
import { matrix } from "../chart/matrix.ts";
import { eventually, useCluster } from "../support/cluster.ts";
import { runHallux } from "../support/hallux-process.ts";
import { refusesPrivileged } from "../support/pod-security.ts";

vi.setConfig({ testTimeout: 120_000 });

const cluster = await useCluster();
const kubectlProgram = programNamed("kubectl");
const lacking = lackingHere();
const scratch = mkdtempSync(join(tmpdir(), "hallux-chart-"));
const kubeconfig = join(scratch, "kubeconfig");
writeFileSync(kubeconfig, cluster.kubeconfig);
const connected = ["--kubeconfig", kubeconfig];
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Not those of operators, unless it was started with their definitions. */
const kinds = lacking === undefined ? new Set(kubectl(["api-resources", "--no-headers"]).match(/\w+$/gm)) : new Set();
const restricted = {
  "pod-security.kubernetes.io/enforce": "restricted",
  "pod-security.kubernetes.io/warn": "restricted",
};

describe.skipIf(lacking !== undefined)(`the chart on a cluster${lacking === undefined ? "" : ` (${lacking})`}`, () => {
  it.each(Object.entries(matrix))(
    "is accepted by the API server, its pod in a restricted namespace too, with %s",
    async (_, values) => {
      const namespace = await restrictedNamespace();
      const objects = objectsIn(template(values, namespace).stdout).filter(({ kind }) => kinds.has(kind));
      const pod = podOf(objects, namespace);
      kubectl(["apply", "-f", "-"], accountOf(pod, namespace));

      const applied = dryRun([...objects, pod]);

      expect(applied).toMatchObject({ code: 0, stderr: "" });
      expect(applied.stdout.trim().split("\n")).toHaveLength(objects.length + 1);
    },
  );

  it("has a pod that a restricted namespace refuses where its security context is taken away", async () => {
    const namespace = await restrictedNamespace();
    const pod = podOf(objectsIn(template({ securityContext: null }, namespace).stdout), namespace);
    kubectl(["apply", "-f", "-"], accountOf(pod, namespace));

    const { code, stderr } = dryRun([pod]);

    expect(code).not.toBe(0);
    expect(stderr).toContain('violates PodSecurity "restricted:latest"');
  });

  it("installs, answers with its own files and account, upgrades and leaves nothing behind", async () => {
    const namespace = await cluster.namespace();
    const before = everythingIn(namespace);
    const secret = "only-falco-knows";
    kubectl(["create", "secret", "generic", "hallux-auth", `--from-literal=secret=${secret}`, "-n", namespace]);
    const values = { existingSecrets: { "auth.path_secret": { name: "hallux-auth", key: "secret" } } };

    const notes = release("install", namespace, values);

    expect(notes).toContain(`http://hallux.${namespace}:2803/THE-PATH-SECRET`);
    await answersAnEvent(namespace, secret);

    const installed = stateOf(namespace);
    expect(everythingIn(namespace)).toContain("deployment.apps/hallux");
    release("upgrade", namespace, { ...values, rules: { custom: { "more.yaml": oneMoreRule } } });
    const upgraded = stateOf(namespace);

    expect(installed.rules).not.toHaveProperty(["custom.more.yaml"]);
    expect(upgraded.rules).toHaveProperty(["custom.more.yaml"], oneMoreRule);
    expect(upgraded.checksums).toEqual(installed.checksums);

    release("upgrade", namespace, { ...values, config: { log_format: "text" } });
    const configured = stateOf(namespace);

    expect(configured.rules).toEqual(installed.rules);
    expect(configured.config).toContain("log_format: text");
    expect(configured.checksums).not.toEqual(installed.checksums);

    helmIn(["uninstall", "hallux", "--namespace", namespace]);
    kubectl(["delete", "secret", "hallux-auth", "-n", namespace]);

    await eventually(async () => JSON.stringify(everythingIn(namespace)) === JSON.stringify(before), 60);
    expect(everythingIn(namespace)).toEqual(before);
  });

  it("reloads rules that an upgrade changes, in the pod that runs", async () => {
    const namespace = await cluster.namespace();
    const values = (label: string) => ({ rules: { default: false, custom: { "mine.yaml": labelRule(label) } } });
    release("install", namespace, values("first"));
    const before = objectIn(namespace, "deployment/hallux");
    const etc = mkdtempSync(join(scratch, "etc-"));
    mount(before, read(namespace), etc);
    await using hallux = runHallux(
      before["spec"].template.spec.containers[0].args.map((arg: string) => arg.replace("/etc/hallux", etc)),
      { KUBECONFIG: kubeconfig, STATE_DIRECTORY: join(etc, "state") },
    );
    const url = await hallux.listening();
    await cluster.pod(namespace, { name: "cart" });

    release("upgrade", namespace, values("second"));
    const after = objectIn(namespace, "deployment/hallux");
    mount(after, read(namespace), etc);
    await hallux.logged(({ msg }) => msg === "configuration reloaded");
    await fetch(url, { method: "POST", body: attackOn(namespace, "cart") });

    expect(after["spec"].template).toEqual(before["spec"].template);
    await eventually(async () => {
      const { metadata } = await cluster.api.core.readNamespacedPod({ namespace, name: "cart" });
      return metadata?.labels?.["mine"] === "second";
    });
    helmIn(["uninstall", "hallux", "--namespace", namespace]);
  });
});

const labelRule = (value: string) => `- rule: Mine
  match: {}
  actions: [{ action: Mine, actionner: "kubernetes:label", parameters: { labels: { mine: ${value} } } }]
`;

const oneMoreRule = `- rule: One more
  match: { rules: [Something new] }
  actions: [{ action: Label pod as suspicious }]
`;

/** No image can be pulled here: Hallux runs on this machine, with what its pod would have. */
async function answersAnEvent(namespace: string, secret: string): Promise<void> {
  const { metadata } = await cluster.pod(namespace, { name: "cart" });
  const deployment = objectIn(namespace, "deployment/hallux");
  const directory = mkdtempSync(join(scratch, "etc-"));
  mount(deployment, read(namespace), directory);
  const account = join(directory, "kubeconfig");
  writeTokenOf("hallux", read(namespace), account);
  const { args, env } = deployment["spec"].template.spec.containers[0];
  const heap = env.find(({ name }: { name: string }) => name === "NODE_OPTIONS").value;
  const state = join(directory, "state");
  await using hallux = runHallux(
    args.map((arg: string) => arg.replace("/etc/hallux", directory)),
    { KUBECONFIG: account, NODE_OPTIONS: heap, POD_NAMESPACE: namespace, STATE_DIRECTORY: state },
  );
  const url = await hallux.listening();
  await eventually(async () =>
    (await (await fetch(`${url}/metrics`)).text()).includes("\nhallux_permissions_missing 0"),
  );

  const refused = await fetch(url, { method: "POST", body: attackOn(namespace, "cart") });
  const accepted = await fetch(`${url}/${secret}`, { method: "POST", body: attackOn(namespace, "cart") });

  expect([refused.status, accepted.status]).toEqual([401, 202]);
  const labelled = await eventually(async () => {
    const pod = await cluster.api.core.readNamespacedPod({ namespace, name: "cart" });
    return pod.metadata?.labels?.["analysis/status"] === "suspicious" && pod;
  });
  expect(labelled.metadata?.uid).toBe(metadata?.uid);
  await eventually(async () => kubectl(["get", "events", "-n", namespace]).includes("HalluxLabelSucceeded"));

  await using history = runHallux(["responses", "list", `--config=${join(directory, "config/config.yaml")}`], {
    LISTEN_PORT: new URL(url).port,
    STATE_DIRECTORY: state,
  });
  await history.exited;
  expect(history.output()).toContain("Attack on a container");
}

function attackOn(namespace: string, pod: string): string {
  const fields = { "k8s.ns.name": namespace, "k8s.pod.name": pod };
  const rule = "Netcat Remote Code Execution in Container";
  return JSON.stringify({ rule, priority: "Warning", source: "syscall", output_fields: fields });
}

function read(namespace: string): Namespace {
  return {
    object: (name) => objectIn(namespace, name),
    kubectl: (args) => kubectl([...args, "-n", namespace]),
  };
}

function stateOf(namespace: string) {
  const { metadata } = objectIn(namespace, "deployment/hallux")["spec"].template;
  const { data } = objectIn(namespace, "secret/hallux-config");
  return {
    rules: objectIn(namespace, "configmap/hallux-rules")["data"],
    config: Buffer.from(data["config.yaml"], "base64").toString(),
    checksums: metadata.annotations,
  };
}

/** Its objects by kind and name, and those of the cluster that belong to a release there. */
function everythingIn(namespace: string): readonly string[] {
  const listed = kubectl(["api-resources", "--namespaced", "--verbs=list", "-o", "name"])
    .trim()
    .split("\n")
    .filter((kind) => !/^events|^pods\.metrics/.test(kind));
  const inside = kubectl(["get", listed.join(","), "-n", namespace, "-o", "name"]);
  const outside = kubectl([
    "get",
    "clusterroles,clusterrolebindings",
    "-l",
    "app.kubernetes.io/name=hallux",
    "-o",
    "name",
  ]);
  return `${inside}${outside}`
    .trim()
    .split("\n")
    .filter((name) => name !== "pod/cart")
    .toSorted();
}

/** The one that the Deployment would make. */
function podOf(objects: readonly Rendered[], namespace: string): Rendered {
  const { metadata, spec } = find(objects, "Deployment")["spec"].template;
  return { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name: "hallux", namespace }, spec };
}

function accountOf(pod: Rendered, namespace: string): string {
  const name = pod["spec"].serviceAccountName;
  return JSON.stringify({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } });
}

async function restrictedNamespace(): Promise<string> {
  const name = await cluster.namespace();
  const labels = Object.entries(restricted).map(([key, value]) => `${key}=${value}`);
  kubectl(["label", "namespace", name, ...labels]);
  await refusesPrivileged(cluster.api, name);
  return name;
}

function dryRun(objects: readonly Rendered[]) {
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  return run(kubectlProgram, [...connected, "apply", "--dry-run=server", "--validate=strict", "-f", "-"], list);
}

function release(command: "install" | "upgrade", namespace: string, values: Values): string {
  return helmIn([command, "hallux", chart, "--namespace", namespace, "--values", "-"], JSON.stringify(values));
}

function objectIn(namespace: string, name: string): Rendered {
  return JSON.parse(kubectl(["get", name, "-n", namespace, "-o", "json"]));
}

function kubectl(args: readonly string[], input = ""): string {
  return must(kubectlProgram, [...connected, ...args], input);
}

function helmIn(args: readonly string[], input = ""): string {
  return must(helm, [...connected, ...args], input);
}

function lackingHere(): string | undefined {
  if (!cluster.real) {
    return "skipped: the playground has not all of the kinds that a chart needs";
  }
  return helm === undefined || kubectlProgram === undefined
    ? "skipped: helm and kubectl are neither beside the checkout nor on the PATH"
    : undefined;
}
