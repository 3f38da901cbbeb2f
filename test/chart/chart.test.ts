import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import manifest from "../../package.json" with { type: "json" };
import { loadConfig } from "../../src/config/load.ts";
import type { atStartOnly } from "../../src/config/schema.ts";
import { loadRules } from "../../src/rules/load.ts";
import { realCatalogue } from "../support/real-catalogue.ts";
import { configSchema, existingSecretsSchema, fullRole, roleText, shippedRole, shippedRules } from "./generated.ts";
import {
  chart,
  find,
  helm,
  must,
  objectsIn,
  type Rendered,
  render,
  run,
  template,
  type Values,
  withoutHelm,
} from "./helm.ts";
import { matrix } from "./matrix.ts";

vi.setConfig({ testTimeout: 60_000 });

const cases = Object.entries(matrix);

/** Another value for each. */
const settingsAtStart: Readonly<Record<(typeof atStartOnly)[number], unknown>> = {
  listen_address: "127.0.0.1",
  listen_port: 2804,
  kubeconfig: "/etc/kubeconfig",
  log_format: "text",
  deduplication: { time_window_seconds: 9 },
  ledger: { backlog_bytes: 2_000_000 },
  otel: { traces_enabled: true },
};

describe("what the chart holds of Hallux (npm run generate makes it)", () => {
  it("has the default rules word for word", () => {
    const held = textOf("files/rules.yaml");

    expect(held).toBe(shippedRules());
  });

  it("has the role that hallux rbac prints for the default rules", () => {
    const held = textOf("files/role.yaml");

    expect(held).toBe(roleText(shippedRole()));
    expect(held).not.toMatch(/delete|secrets/);
  });

  it("has the role of the whole catalogue", () => {
    const held = textOf("files/role-full.yaml");

    expect(held).toBe(roleText(fullRole()));
  });

  it("has the schema of the configuration", () => {
    const { properties } = JSON.parse(textOf("values.schema.json"));

    expect(properties.config).toEqual(configSchema());
    expect(properties.existingSecrets).toEqual(existingSecretsSchema());
  });

  it("has the version of Hallux", () => {
    const { version, appVersion } = parse(textOf("Chart.yaml"));

    expect([version, appVersion]).toEqual([manifest.version, manifest.version]);
  });

  it("asks no cluster and no dice, so that it renders the same everywhere", () => {
    const templates = readdirSync(join(chart, "templates")).map((name) => textOf(`templates/${name}`));

    const asking = templates.filter((text) => /\b(lookup|rand\w+|uuidv4|now|gen[A-Z]\w+|htpasswd)\b/.test(text));

    expect(asking).toEqual([]);
  });
});

describe.skipIf(helm === undefined)(`the chart${helm === undefined ? ` (${withoutHelm})` : ""}`, () => {
  it.each(cases)("passes helm lint --strict with %s", (_, values) => {
    const { code, stdout, stderr } = run(helm, ["lint", "--strict", "--values", "-", chart], JSON.stringify(values));

    expect({ code, said: `${stdout}${stderr}`.match(/\[(WARNING|ERROR)].*/g) }).toEqual({ code: 0, said: null });
  });

  it.each(cases)("renders the same twice, each object once, with %s", (_, values) => {
    const first = template(values);
    const second = template(values);
    const names = objectsIn(first.stdout).map(
      ({ kind, metadata }) => `${kind} ${metadata?.namespace}/${metadata?.name}`,
    );

    expect(first).toEqual(second);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(names).toEqual([...new Set(names)]);
  });

  it.each(cases)("writes a configuration that Hallux takes with %s", (_, values) => {
    const text = find(render(values), "Secret")["stringData"]["config.yaml"];
    const files: Readonly<Record<string, string>> = { "config.yaml": text };

    const { problems } = loadConfig({
      path: "config.yaml",
      env: {},
      readFile: (path) => files[path] ?? (path.includes("url") ? "https://example.com" : "a-secret"),
      catalogue: realCatalogue,
    });

    expect(problems).toEqual([]);
  });

  it("writes every name so that YAML cannot take it for a number", () => {
    const name = "0x1f";
    const at = { name, key: name };
    const cases: readonly Values[] = [
      { ...matrix["reachable from outside"], existingSecrets: { "api.token": at } },
      { tls: { certManager: { enabled: true, issuerRef: { name } } }, serviceMonitor: { enabled: true } },
      { tls: { existingSecret: name }, persistence: { existingClaim: name }, rules: { existingConfigMaps: [at] } },
      { ingress: { enabled: true, className: name, hosts: [{ host: name }] }, persistence: { storageClass: name } },
      { nameOverride: name, fullnameOverride: name, priorityClassName: name, serviceAccount: { name } },
      {
        rbac: { role: "given", namespaceRules: { [name]: [{ apiGroups: [name], resources: [name], verbs: [name] }] } },
      },
    ];

    const objects = cases
      .map((values) => must(helm, ["template", name, chart, "--namespace", name, "-f", "-"], JSON.stringify(values)))
      .flatMap((text) => parseAllDocuments(text, { version: "1.1" }))
      .map((document) => JSON.stringify(document));

    expect(objects.filter((text) => text.includes(name)).length).toBeGreaterThan(40);
    expect(objects.filter((text) => /[:[,]31[\],}]/.test(text))).toEqual([]);
  });

  it("has a ClusterRole of its own for each release of each namespace", () => {
    const names = [
      ["a-b", "hallux"],
      ["a", "b-hallux"],
      ["a", "hallux"],
    ].map(([namespace, release]) => find(render({}, namespace, release), "ClusterRole").metadata?.name);

    expect(new Set(names).size).toBe(3);
  });

  it("makes names of a release called a.b, whose dot a Service may not have", () => {
    expect(find(render({}, "hallux", "a.b"), "Service").metadata?.name).toBe("a-b-hallux");
  });

  it("leaves out how to roll where the strategy is Recreate", () => {
    const values = { config: { ledger: { driver: "nats" } }, strategy: { type: "Recreate" } };

    expect(find(render(values), "Deployment")["spec"].strategy).toEqual({ type: "Recreate" });
  });

  it("can be the dependency of a chart that switches it on by a condition", () => {
    expect(template({ enabled: true, global: { a: 1 } }).code).toBe(0);
  });

  it("loads the rules in order: default, custom, existing ConfigMaps, overrides", () => {
    const objects = render(matrix["rules of one's own, from everywhere"] ?? {});
    const { data } = find(objects, "ConfigMap");

    const paths = argsOf(objects).flatMap((arg) => /^--rules=\/etc\/hallux\/rules\/(.*)$/.exec(arg)?.[1] ?? []);
    const { rules, problems } = loadRules(
      paths.flatMap((path) => (data[path] === undefined ? [] : [{ path, text: data[path] }])),
      realCatalogue,
    );

    expect(paths).toEqual([
      "default.yaml",
      "custom.list.yml",
      "custom.text.yaml",
      "team-rules/rules.yaml",
      "overrides.last.yaml",
    ]);
    expect(problems).toEqual([]);
    expect(data["default.yaml"]).toBe(shippedRules());
    expect(rules?.rules.filter(({ dryRun }) => dryRun).map(({ name }) => name)).toEqual(["Attack on a container"]);
    expect(rules?.rules.map(({ name }) => name)).toEqual(expect.arrayContaining(["From a text", "From a list"]));
  });

  it("gives secrets as files that a setting names, none in the environment", () => {
    const objects = render(matrix["secrets of every sort, in files"] ?? {});
    const config = parse(find(objects, "Secret")["stringData"]["config.yaml"]);
    const { containers, volumes } = podOf(objects);

    const { sources } = volumes.find(({ name }: { name: string }) => name === "secrets").projected;
    const environment = containers[0].env.filter(({ valueFrom }: Rendered) => valueFrom?.secretKeyRef);

    expect(config.auth).toEqual({ path_secret_file: "/etc/hallux/secrets/auth.path_secret" });
    expect(config.notifiers.slack).toEqual({
      format: "short",
      webhook_url_file: "/etc/hallux/secrets/notifiers.slack.webhook_url",
    });
    expect(config.gcp.credentials_path).toBe("/etc/hallux/secrets/gcp.credentials_path");
    expect(sources).toContainEqual({
      secret: { name: "slack", items: [{ key: "url", path: "notifiers.slack.webhook_url" }] },
    });
    expect(environment).toEqual([]);
  });

  it("runs one replica at a time on a volume with sqlite", () => {
    const objects = render({});

    expect(find(objects, "Deployment")["spec"]).toMatchObject({ replicas: 1, strategy: { type: "Recreate" } });
    expect(podOf(objects).volumes).toContainEqual({ name: "state", persistentVolumeClaim: { claimName: "hallux" } });
    expect(find(objects, "PersistentVolumeClaim")["spec"].resources.requests.storage).toBe("2Gi");
    expect(kindsOf(objects)).not.toContain("PodDisruptionBudget");
  });

  it("runs many replicas with NATS, spread, with a budget, without a claim", () => {
    const objects = render(matrix["many replicas on NATS"] ?? {});

    expect(find(objects, "Deployment")["spec"]).toMatchObject({ replicas: 3, strategy: { type: "RollingUpdate" } });
    expect(find(objects, "PodDisruptionBudget")["spec"].maxUnavailable).toBe(1);
    expect(podOf(objects).topologySpreadConstraints).toHaveLength(2);
    expect(podOf(objects).volumes).toContainEqual({ name: "state", emptyDir: {} });
    expect(kindsOf(objects)).not.toContain("PersistentVolumeClaim");
  });

  it("asks /healthz whether it lives and /readyz whether it takes events, by HTTPS where it serves that", () => {
    const plain = podOf(render({})).containers[0];
    const encrypted = podOf(render({ tls: { existingSecret: "t" } })).containers[0];

    expect(plain.livenessProbe.httpGet).toEqual({ path: "/healthz", port: "http", scheme: "HTTP" });
    expect(plain.readinessProbe.httpGet).toEqual({ path: "/readyz", port: "http", scheme: "HTTP" });
    expect(encrypted.livenessProbe.httpGet.scheme).toBe("HTTPS");
    expect(encrypted.readinessProbe.httpGet.scheme).toBe("HTTPS");
  });

  it("does not open the kept token to the group of the volume at each start, for Hallux would replace it", () => {
    const { securityContext } = podOf(render({}));

    expect(securityContext).toMatchObject({ fsGroup: 65532, fsGroupChangePolicy: "OnRootMismatch" });
  });

  it("sees no variables of the services beside it, which could be taken for settings", () => {
    expect(podOf(render({})).enableServiceLinks).toBe(false);
  });

  it.each([
    [{}, 38],
    [{ config: { shutdown_delay_seconds: 0, shutdown_grace_seconds: 60 } }, 75],
  ])("gives time to stop in order with %j", (values, seconds) => {
    expect(podOf(render(values)).terminationGracePeriodSeconds).toBe(seconds);
  });

  it.each([
    [{}, 256],
    [{ resources: { limits: { memory: "2Gi" } } }, 1024],
    [{ resources: { limits: { memory: null } } }, 256],
    [{ heapMegabytes: 300, resources: { limits: { memory: "1000M" } } }, 300],
  ])("bounds the heap with %j", (values, megabytes) => {
    const { env } = podOf(render(values)).containers[0];

    expect(env).toContainEqual({ name: "NODE_OPTIONS", value: `--max-old-space-size=${megabytes}` });
  });

  it("leaves its pod as it is for what Hallux loads by itself: changed rules and settings", () => {
    const custom = (rules: string) => ({ rules: { custom: { "a.yaml": rules } } });
    const before = podTemplateOf(render({ ...custom("[]"), config: { concurrency: 1 } }));

    const after = podTemplateOf(render({ ...custom("- { action: a }"), config: { concurrency: 2, auth: {} } }));

    expect(after).toEqual(before);
  });

  it.each(Object.entries(settingsAtStart))(
    "restarts for another %s, which Hallux reads at its start",
    (name, value) => {
      const before = podTemplateOf(render({}));

      const after = podTemplateOf(render({ config: { [name]: value } }));

      expect(after.metadata.annotations).not.toEqual(before.metadata.annotations);
    },
  );

  it("restarts where authorities of client certificates are given or taken away, not for others", () => {
    const [without, one, other] = [{}, { client_ca_file: "/a" }, { client_ca_file: "/b" }].map((tls) =>
      podTemplateOf(render({ config: { tls } })),
    );

    expect(one).not.toEqual(without);
    expect(other).toEqual(one);
  });

  it("takes labels of the Service over into the metrics", () => {
    const monitor = find(render({ serviceMonitor: { enabled: true, targetLabels: ["team"] } }), "ServiceMonitor");

    expect(monitor["spec"].targetLabels).toEqual(["team"]);
  });

  it("tells what proves that one may send events, and warns where nothing does", () => {
    const open = notesOf({});
    const path = notesOf({ existingSecrets: { "auth.path_secret": { name: "a", key: "b" } } });
    const bearer = notesOf({ existingSecrets: { "auth.bearer_token": { name: "a", key: "b" } } });
    const basic = notesOf({ config: { auth: { basic_user: "falco", basic_password: "x" } } });
    const certificate = notesOf(matrix["TLS from a secret, with client certificates"] ?? {});

    expect(open).toContain("address: http://hallux.hallux:2803/\n");
    expect(open).toContain("WARNING: everyone who reaches the port may send events");
    expect(path).toContain("address: http://hallux.hallux:2803/THE-PATH-SECRET\n");
    expect(bearer).toContain('customHeaders: "Authorization:Bearer THE-TOKEN"');
    expect(basic).toContain('customHeaders: "Authorization:Basic BASE64-OF-USER:PASSWORD"');
    expect(basic).toContain("--user USER:PASSWORD");
    expect(certificate).toContain("mutualtls: true");
    expect(certificate).toContain("--cert client.crt --key client.key");
    expect(path + bearer + basic + certificate).not.toContain("WARNING");
  });

  it("renders with the values that docs/install.md shows", () => {
    const page = readFileSync(join(chart, "../../docs/install.md"), "utf8");
    const [, section = ""] = page.split("\n## With Helm\n");
    const shown = [...(section.split("\n## ")[0] ?? "").matchAll(/```yaml\n(.*?)```/gs)];

    const kinds = shown.map(([, values = ""]) => kindsOf(render(parse(values))));

    expect(kinds).toHaveLength(2);
    expect(kinds).toEqual(shown.map(() => expect.arrayContaining(["Deployment", "Secret", "Service"])));
  });

  it.each<[string, Values]>([
    ["additional properties 'replica' not allowed", { replica: 1 }],
    ["additional properties 'log_levl' not allowed", { config: { log_levl: "debug" } }],
    ["additional properties 'rules_files' not allowed", { config: { rules_files: ["a"] } }],
    ["value must be one of 'debug', 'info'", { config: { log_level: "loud" } }],
    [
      "additional properties 'auth.bearer' not allowed",
      { existingSecrets: { "auth.bearer": { name: "a", key: "b" } } },
    ],
    ["missing property 'key'", { existingSecrets: { "api.token": { name: "a" } } }],
    ["got string, want integer", { replicas: "2" }],
    ["got string, want boolean", { persistence: { enabled: "yes" } }],
    ["does not match pattern", { rules: { custom: { mine: "[]" } } }],
    ["replicas must be 1: the sqlite ledger belongs to one process", { replicas: 2 }],
    ["there are no rules", { rules: { default: false } }],
    [
      "api.token is given twice",
      { config: { api: { token: "x" } }, existingSecrets: { "api.token": { name: "a", key: "b" } } },
    ],
    ["tls.certManager.issuerRef.name is needed", { tls: { certManager: { enabled: true } } }],
    ["ingress.hosts is needed", { ingress: { enabled: true } }],
    ["serviceAccount.name is needed", { serviceAccount: { create: false } }],
    ["hallux rbac prints them", { rbac: { role: "given" } }],
    ["only with rbac.role given", { rbac: { clusterRules: [{ apiGroups: [], resources: [], verbs: [] }] } }],
    ["missing property 'resources'", { resources: null }],
    ["at '/enabled'", { enabled: false }],
    ["at '/fullnameOverride'", { fullnameOverride: "My_Name" }],
    ["extraEnv: the chart sets NODE_OPTIONS by itself", { extraEnv: [{ name: "NODE_OPTIONS", value: "x" }] }],
    ["heapMegabytes is needed", { resources: { limits: { memory: "512M" } } }],
    ["'managed-by' does not match pattern", { prometheusRule: { alertLabels: { "managed-by": "x" } } }],
    ["invalid propertyName '__name__'", { prometheusRule: { alertLabels: { __name__: "x" } } }],
    ["invalid propertyName 'a.b'", { prometheusRule: { alerts: { HalluxDown: { labels: { "a.b": "x" } } } } }],
    ["invalid propertyName '1st'", { prometheusRule: { alerts: { HalluxDown: { annotations: { "1st": "x" } } } } }],
  ])("refuses a mistake and says: %s", (words, values) => {
    const { code, stderr } = template(values);

    expect(code).not.toBe(0);
    expect(stderr).toContain(words);
  });
});

function notesOf(values: Values): string {
  const args = ["install", "hallux", chart, "--namespace", "hallux", "--dry-run=client", "--values", "-"];
  return must(helm, args, JSON.stringify(values)).split("\nNOTES:\n")[1] ?? "";
}

function textOf(path: string): string {
  return readFileSync(join(chart, path), "utf8");
}

function podOf(objects: readonly Rendered[]) {
  return find(objects, "Deployment")["spec"].template.spec;
}

function argsOf(objects: readonly Rendered[]): readonly string[] {
  return podOf(objects).containers[0].args;
}

function podTemplateOf(objects: readonly Rendered[]) {
  return find(objects, "Deployment")["spec"].template;
}

function kindsOf(objects: readonly Rendered[]): readonly (string | undefined)[] {
  return objects.map(({ kind }) => kind);
}
