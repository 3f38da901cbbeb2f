import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import manifest from "../../package.json" with { type: "json" };
import { loadConfig } from "../../src/config/load.ts";
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

const cases = Object.entries(matrix);

describe("what the chart holds of Hallux (npx node test/chart/generate.ts && npm run format makes it)", () => {
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
    [{}, 28],
    [{ config: { shutdown_delay_seconds: 0, shutdown_grace_seconds: 60 } }, 65],
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

  it("restarts for changed rules or configuration, and for nothing else", () => {
    const before = checksumsOf(render({}));
    const rules = checksumsOf(render({ rules: { overrides: { "a.yaml": "[]" } } }));
    const config = checksumsOf(render({ config: { log_level: "debug" } }));
    const neither = checksumsOf(render({ service: { port: 80 } }));

    expect(rules).toEqual({ ...before, "checksum/rules": expect.not.stringMatching(String(before["checksum/rules"])) });
    expect(config).toEqual({
      ...before,
      "checksum/config": expect.not.stringMatching(String(before["checksum/config"])),
    });
    expect(neither).toEqual(before);
  });

  it("alerts on metrics that there are", () => {
    const known = new Set(readFileSync(join(chart, "../../docs/generated/metrics.md"), "utf8").match(/hallux_\w+/g));
    const [group] = find(render(matrix["watched by Prometheus"] ?? {}), "PrometheusRule")["spec"].groups;

    const asked: readonly string[] = group.rules.map(({ expr }: { expr: string }) => /hallux_\w+/.exec(expr)?.[0]);

    expect(asked.length).toBeGreaterThan(4);
    expect(asked.filter((metric) => !known.has(metric))).toEqual([]);
    expect(group.rules[0].expr).toBe('absent(hallux_build_info{namespace="hallux",job="hallux"})');
  });

  it("tells what proves that one may send events, and warns where nothing does", () => {
    const open = notesOf({});
    const path = notesOf({ existingSecrets: { "auth.path_secret": { name: "a", key: "b" } } });
    const bearer = notesOf({ existingSecrets: { "auth.bearer_token": { name: "a", key: "b" } } });

    expect(open).toContain("address: http://hallux.hallux:2803/\n");
    expect(open).toContain("WARNING: everyone who reaches the port may send events");
    expect(path).toContain("address: http://hallux.hallux:2803/THE-PATH-SECRET\n");
    expect(bearer).toContain('customHeaders: "Authorization:Bearer THE-TOKEN"');
    expect(path + bearer).not.toContain("WARNING");
  });

  it("renders with the values that docs/install.md shows", () => {
    const page = readFileSync(join(chart, "../../docs/install.md"), "utf8");
    const [, section = ""] = page.split("### With Helm");
    const shown = [...(section.split("### In any case")[0] ?? "").matchAll(/```yaml\n(.*?)```/gs)];

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
    ["heapMegabytes is needed", { resources: { limits: { memory: "512M" } } }],
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

function checksumsOf(objects: readonly Rendered[]): Readonly<Record<string, string>> {
  return find(objects, "Deployment")["spec"].template.metadata.annotations;
}

function kindsOf(objects: readonly Rendered[]): readonly (string | undefined)[] {
  return objects.map(({ kind }) => kind);
}
