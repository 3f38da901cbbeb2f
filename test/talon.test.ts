import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type Playground, startPlayground } from "../playground/index.ts";
import { loadConfig } from "../src/config/load.ts";
import { readRules } from "../src/rules/load.ts";
import type { Fields } from "../src/schema/field.ts";
import { describeProblem } from "../src/schema/problem.ts";
import { runHallux } from "./support/hallux-process.ts";
import { realCatalogue } from "./support/real-catalogue.ts";
import { workplace } from "./support/workplace.ts";

vi.setConfig({ testTimeout: 60_000 });

/** Files that Falco Talon itself ships (Apache-2.0), unchanged. */
const talonRules = ["rules.yaml", "rules_override.yaml", "chart-rules.yaml"].map((name) =>
  fileURLToPath(new URL(`../src/rules/fixtures/talon/${name}`, import.meta.url)),
);
const talonConfig = fileURLToPath(new URL("../src/config/fixtures/talon.yaml", import.meta.url));
const rulesArguments = talonRules.flatMap((path) => ["-r", path]);

function readFile(path: string): string {
  return readFileSync(path, "utf8");
}

async function makeShop(): Promise<Playground> {
  const playground = await startPlayground();
  onTestFinished(() => playground.close());
  const metadata = { name: "cart-1", namespace: "shop" };
  const spec = { containers: [{ name: "main", image: "busybox" }] };
  await playground.seed([{ apiVersion: "v1", kind: "Pod", metadata, spec }]);
  playground.clearRequests();
  return playground;
}

function place({ kubeconfig }: Playground) {
  const files = workplace({ kubeconfig });
  onTestFinished(() => files[Symbol.dispose]());
  return files;
}

describe("the files of a Talon user", () => {
  it("load unchanged: the rules, their overrides and the chart's", async () => {
    const { rules, problems } = await readRules(talonRules, realCatalogue);

    expect(problems.map(describeProblem)).toEqual([]);
    expect(rules).toBeDefined();
  });

  it.each(talonRules.map((path) => [path.replace(/.*\//, ""), path] as const))(
    "load each by itself: %s",
    async (name, path) => {
      // An override alone names no actionner: in Talon, too, it is of use only after the rules.
      const paths = name === "rules_override.yaml" ? [talonRules[0] ?? "", path] : [path];

      const { problems } = await readRules(paths, realCatalogue);

      expect(problems.map(describeProblem)).toEqual([]);
    },
  );

  it("load unchanged: the configuration", () => {
    const { config, problems } = loadConfig({ path: talonConfig, env: {}, readFile, catalogue: realCatalogue });

    expect(problems.map(describeProblem)).toEqual([]);
    expect(config).toBeDefined();
  });

  it("pass the check, and print as rules that pass it again", async () => {
    await using check = runHallux(["rules", "check", ...rulesArguments]);
    await using print = runHallux(["rules", "print", ...rulesArguments]);
    await Promise.all([check.exited, print.exited]);
    const printed = workplace({ "rules.yaml": print.output() });
    onTestFinished(() => printed[Symbol.dispose]());

    await using again = runHallux(["rules", "check", "-r", printed.path("rules.yaml")]);
    const exit = await again.exited;

    expect(check.output()).toBe("11 rules, 15 actions: no problems\n");
    expect(again.output()).toBe(check.output());
    expect(exit.code).toBe(0);
    expect(print.output()).toContain("grace_period_seconds: 2");
  });

  it("start a server that takes and matches what Talon's own curl lines send", async () => {
    const playground = await makeShop();
    const env = { KUBECONFIG: place(playground).path("kubeconfig") };
    await using hallux = runHallux(["server", "-c", talonConfig, ...rulesArguments], env);
    const url = await hallux.listening();

    const fields = { "k8s.pod.name": "cart-1", "k8s.ns.name": "shop" };
    const answer = await fetch(url, {
      method: "POST",
      body: JSON.stringify({
        output: "Test",
        priority: "Warning",
        Rule: "Test exec",
        time: "2019-05-17T15:31:56.746609046Z",
        output_fields: fields,
      }),
    });
    const ended = await hallux.logged(({ msg, status }) => msg === "action ended" && status !== undefined);

    expect(answer.status).toBe(202);
    expect(ended).toMatchObject({
      rule: "Test exec",
      action: "Test exec",
      actionner: "kubernetes:exec",
      status: "success",
    });
    // The client of Kubernetes is loaded after it listens.
    await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), { timeout: 20_000 });
  });

  it("start a server where Talon finds them: the rules that the configuration names", async () => {
    const playground = await makeShop();
    const files = place(playground);
    const rules = files.path("etc/rules.yaml");
    mkdirSync(dirname(rules));
    writeFileSync(rules, readFile(talonRules[0] ?? ""));
    const config = readFile(talonConfig).replace('"./rules.yaml"', JSON.stringify(rules));
    writeFileSync(files.path("etc/config.yaml"), config);
    await using hallux = runHallux(["server", "--config", files.path("etc/config.yaml")], {
      KUBECONFIG: files.path("kubeconfig"),
    });

    const url = await hallux.listening();

    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: "ok" });
    expect(hallux.log().filter(({ level }) => level === "error")).toEqual([]);
  });
});

/** Talon's actionners: whether the rule's next actions run afterwards, and their parameters with their defaults. */
const talonActionners: Readonly<
  Record<string, readonly [continues: boolean, parameters: Readonly<Record<string, unknown>>]>
> = {
  "kubernetes:label": [true, { labels: undefined, level: "pod" }],
  "kubernetes:annotation": [true, { annotations: undefined, level: "pod" }],
  "kubernetes:terminate": [
    false,
    {
      grace_period_seconds: 0,
      ignore_daemonsets: false,
      ignore_statefulsets: false,
      ignore_standalone_pods: true,
      min_healthy_replicas: undefined,
    },
  ],
  "kubernetes:networkpolicy": [true, { allow_cidr: [], allow_namespaces: [] }],
  "kubernetes:exec": [true, { command: undefined, shell: "/bin/sh" }],
  "kubernetes:script": [true, { script: undefined, file: undefined, shell: "/bin/sh" }],
  "kubernetes:log": [true, { tail_lines: 20 }],
  "kubernetes:delete": [false, {}],
  "kubernetes:cordon": [true, {}],
  "kubernetes:drain": [
    true,
    {
      min_healthy_replicas: undefined,
      ignore_daemonsets: false,
      ignore_statefulsets: false,
      ignore_errors: false,
      max_wait_period: 0,
      wait_period_excluded_namespaces: [],
    },
  ],
  "kubernetes:download": [true, { file: undefined }],
  "kubernetes:tcpdump": [false, { duration: 5, snaplen: 4096 }],
  "kubernetes:sysdig": [false, { duration: 5, buffer_size: 2048, scope: "pod" }],
  "aws:lambda": [
    true,
    {
      aws_lambda_name: undefined,
      aws_lambda_alias_or_version: "$LATEST",
      aws_lambda_invocation_type: "RequestResponse",
    },
  ],
  "gcp:function": [true, { gcp_function_name: undefined, gcp_function_location: "us-central1" }],
  "calico:networkpolicy": [true, { allow_cidr: [], allow_namespaces: [], order: 0 }],
  "cilium:networkpolicy": [true, { allow_cidr: [], allow_namespaces: [] }],
};

/** Parameters of Talon's whose defaults are its own affair: images, a timeout. */
const talonOthers: Readonly<Record<string, readonly string[]>> = {
  "kubernetes:tcpdump": ["image"],
  "kubernetes:sysdig": ["image"],
  "gcp:function": ["gcp_function_timeout"],
};

const talonOutputs: Readonly<Record<string, readonly string[]>> = {
  "local:file": ["destination"],
  "aws:s3": ["bucket", "prefix", "region"],
  "minio:s3": ["bucket", "prefix"],
  "gcp:gcs": ["bucket", "prefix"],
};

const talonNotifiers: Readonly<Record<string, readonly string[]>> = {
  k8sevents: [],
  slack: ["webhook_url", "icon", "username", "footer", "format"],
  webhook: ["url", "http_method", "user_agent", "content_type", "custom_headers"],
  smtp: ["host_port", "from", "to", "user", "password", "format", "tls"],
  loki: ["url", "user", "api_key", "tenant", "custom_headers"],
  elasticsearch: [
    ...["url", "user", "password", "index", "suffix", "create_index_template"],
    ...["number_of_shards", "number_of_replicas", "custom_headers"],
  ],
};

const talonContexts: Readonly<Record<string, readonly string[]>> = {
  k8snode: [
    ...["node.hostname", "node.instancetype", "node.role", "node.topology.region", "node.topology.zone"],
    "node.spec.providerid",
  ],
  aws: ["aws.instance_profile_arn", "aws.instance_profile_id", "aws.region"],
};

function missingFrom(fields: Fields | undefined, names: readonly string[]): readonly string[] {
  const known = Object.entries(fields ?? {}).flatMap(([name, { aliases }]) => [name, ...aliases]);
  return names.filter((name) => !known.includes(name));
}

describe("what Talon's files can name", () => {
  it.each(Object.entries(talonActionners))("is there, with Talon's defaults: %s", (id, [continues, parameters]) => {
    const actionner = realCatalogue.actionners.get(id);

    const found = Object.keys(parameters).map((name) => [name, actionner?.params[name]?.default]);

    expect(missingFrom(actionner?.params, [...Object.keys(parameters), ...(talonOthers[id] ?? [])])).toEqual([]);
    expect(Object.fromEntries(found)).toEqual(parameters);
    expect(actionner?.continues).toBe(continues);
  });

  it.each(Object.entries(talonOutputs))("is there: the output %s", (id, parameters) => {
    const output = realCatalogue.outputs.get(id);

    expect(output).toBeDefined();
    expect(missingFrom(output?.params, parameters)).toEqual([]);
  });

  it.each(Object.entries(talonNotifiers))("is there: the notifier %s", (id, settings) => {
    const notifier = realCatalogue.notifiers.get(id);

    expect(notifier).toBeDefined();
    expect(missingFrom(notifier?.settings, settings)).toEqual([]);
  });

  it.each(Object.entries(talonContexts))("is there: the context %s", (id, elements) => {
    expect(realCatalogue.contexts.get(id)?.elements).toEqual(expect.arrayContaining([...elements]));
  });
});
