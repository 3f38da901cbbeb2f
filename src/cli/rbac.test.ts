import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { startPlayground } from "../../playground/index.ts";
import { realCatalogue } from "../../test/support/real-catalogue.ts";
import type { KubeconfigSource } from "../clients/kubernetes/connection.ts";
import { preflightCommand } from "./preflight.ts";
import { rbacCommand } from "./rbac.ts";

const rules = `
- rule: Mark
  match: {}
  actions:
    - { action: Annotate, actionner: "kubernetes:annotation", parameters: { annotations: { a: b } } }
- rule: End
  match: { output_fields: [k8s.ns.name=shop] }
  actions:
    - { action: Kill, actionner: "kubernetes:terminate" }
`;
const calling = `
- rule: Call
  match: {}
  actions:
    - { action: Tell, actionner: "http:call", parameters: { url: "https://example.org" } }
`;
const config = "default_notifiers: [k8sevents]\n";

describe("rbac", () => {
  it("prints the roles and their bindings", async () => {
    const { stdout, exitCode } = await rbac("-r", "rules.yaml", "--namespace", "security");

    expect(stdout).toMatchInlineSnapshot(`
      "apiVersion: rbac.authorization.k8s.io/v1
      kind: ClusterRole
      metadata:
        name: hallux
      rules:
        - apiGroups: [""]
          resources: [pods]
          verbs: [patch]
      ---
      apiVersion: rbac.authorization.k8s.io/v1
      kind: ClusterRoleBinding
      metadata:
        name: hallux
      roleRef:
        apiGroup: rbac.authorization.k8s.io
        kind: ClusterRole
        name: hallux
      subjects:
        - kind: ServiceAccount
          name: hallux
          namespace: security
      ---
      apiVersion: rbac.authorization.k8s.io/v1
      kind: Role
      metadata:
        name: hallux
        namespace: shop
      rules:
        - apiGroups: [""]
          resources: [pods]
          verbs: [get, delete]
      ---
      apiVersion: rbac.authorization.k8s.io/v1
      kind: RoleBinding
      metadata:
        name: hallux
        namespace: shop
      roleRef:
        apiGroup: rbac.authorization.k8s.io
        kind: Role
        name: hallux
      subjects:
        - kind: ServiceAccount
          name: hallux
          namespace: security
      "
    `);
    expect(exitCode).toBe(0);
  });

  it("says in comments who needs what", async () => {
    const plain = await rbac("-r", "rules.yaml");
    const { stdout } = await rbac("-r", "rules.yaml", "--explain", "-c", "config.yaml");

    expect(stdout).toContain(
      [
        '  # rule "End", action "Kill" (kubernetes:terminate): delete pods',
        '  - apiGroups: [""]',
        "    resources: [pods]",
        "    verbs: [delete]",
      ].join("\n"),
    );
    expect(stdout).toContain("# default notifier k8sevents: create events\n");
    expect(plain.stdout).not.toContain("#");
  });

  it("quotes names that kubectl, which reads YAML 1.1, would take for truth values or numbers", async () => {
    const { stdout } = await rbac("-r", "rules.yaml", "--name", "on", "--namespace", "0b1", "--service-account");

    const [account] = parseAllDocuments(stdout, { version: "1.1" }).map((document) => document.toJS());

    expect(account.metadata).toEqual({ name: "on", namespace: "0b1" });
    expect(stdout).toMatch(/name: "on"\n {4}namespace: "0b1"\n$/);
  });

  it("names the account as it is told to, and prints it", async () => {
    const { stdout } = await rbac("-r", "rules.yaml", "--name", "claw", "--namespace", "falco", "--service-account");

    const [account, ...others] = parseAllDocuments(stdout).map((document) => document.toJS());
    expect(account).toEqual({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "claw", namespace: "falco" },
    });
    expect(others.map(({ kind, metadata }) => [kind, metadata.name, metadata.namespace])).toEqual([
      ["ClusterRole", "claw", undefined],
      ["ClusterRoleBinding", "claw", undefined],
      ["Role", "claw", "shop"],
      ["RoleBinding", "claw", "shop"],
    ]);
    expect(others[3].subjects).toEqual([{ kind: "ServiceAccount", name: "claw", namespace: "falco" }]);
  });

  it("prints one List as JSON, and with --explain what needs what", async () => {
    const list = await rbac("-r", "rules.yaml", "-o", "json");
    const explanation = await rbac("-r", "rules.yaml", "-o", "json", "--explain");

    const yaml = await rbac("-r", "rules.yaml");
    const items = parseAllDocuments(yaml.stdout).map((document) => document.toJS());
    expect(JSON.parse(list.stdout)).toEqual({ apiVersion: "v1", kind: "List", items });
    expect(JSON.parse(explanation.stdout)[0]).toEqual({
      verb: "patch",
      api_group: "",
      resource: "pods",
      needed_by: [{ rule: "Mark", action: "Annotate", entry: "kubernetes:annotation" }],
    });
  });

  it("prints tables", async () => {
    const { stdout } = await rbac("-r", "rules.yaml", "-o", "table");
    const explanation = await rbac("-r", "rules.yaml", "-o", "table", "--explain");

    expect(stdout).toMatchInlineSnapshot(`
      "NAMESPACE  API GROUP  VERBS        RESOURCES
      (all)      (core)     patch        pods
      shop       (core)     get, delete  pods
      "
    `);
    expect(explanation.stdout).toMatchInlineSnapshot(`
      "PERMISSION                     NEEDED BY
      patch pods in all namespaces   rule "Mark", action "Annotate" (kubernetes:annotation)
      get pods in namespace shop     rule "End", action "Kill" (kubernetes:terminate)
      delete pods in namespace shop  rule "End", action "Kill" (kubernetes:terminate)
      "
    `);
  });

  it("shows what a rule's name holds, and lets it say nothing else", async () => {
    const name = JSON.stringify("a\r\nkind: Secret\u009b2J\n---\n");

    const { stdout } = await rbac("-r", "odd.yaml", "--explain", { "odd.yaml": rules.replace("Mark", name) });

    expect(stdout).toContain('# rule "a\\u000d\\u000akind: Secret\\u009b2J\\u000a---", action "Annotate"');
    expect(parseAllDocuments(stdout).map((document) => document.get("kind"))).toEqual([
      "ClusterRole",
      "ClusterRoleBinding",
      "Role",
      "RoleBinding",
    ]);
  });

  it("says so where nothing is needed", async () => {
    const { stdout } = await rbac("-r", "calling.yaml");

    expect(stdout).toBe("# These rules need nothing of Kubernetes.\n");
    expect(parse(stdout)).toBeNull();
  });

  it("tells the Problems of the rules and of the configuration, and fails", async () => {
    const broken = await rbac("-r", "broken.yaml", { "broken.yaml": "- rule: A\n" });
    const config = await rbac("-r", "rules.yaml", "-c", "config.yaml", { "config.yaml": "listen_prot: 1\n" });

    expect(broken).toMatchObject({ stdout: "", exitCode: 1 });
    expect(broken.stderr).toMatch(/^broken\.yaml:1:9: error: rule "A" has no/);
    expect(config.stderr).toBe('config.yaml:1:1: error: unknown key "listen_prot" (did you mean "listen_port"?)\n');
  });
});

describe("docs/permissions.md", () => {
  it("shows what the commands print", async () => {
    const page = readFileSync(new URL("../../docs/permissions.md", import.meta.url), "utf8");

    const explanation = await rbac("-r", "rules.yaml", "-o", "table", "--explain");
    const missing = await preflight(await clusterWithout("patch"), "-r", "rules.yaml");

    expect(page).toContain(`hallux rbac -r rules.yaml -o table --explain\n${explanation.stdout}`);
    expect(page).toContain(`hallux preflight -r rules.yaml\n${missing.stdout}`);
  });
});

describe("preflight", () => {
  it("says that all is there", async () => {
    const { stdout, exitCode } = await preflight(await clusterWithout(), "-r", "rules.yaml");

    expect(stdout).toBe("3 of 3 permissions are there\n");
    expect(exitCode).toBe(0);
  });

  it("says what is missing and who needs it, and fails", async () => {
    const { stdout, exitCode } = await preflight(await clusterWithout("patch"), "-r", "rules.yaml");

    expect(stdout).toBe(
      [
        "missing: patch pods in all namespaces",
        '  for rule "Mark", action "Annotate" (kubernetes:annotation)',
        '1 of 3 permissions are missing; "hallux rbac" prints the roles that give them',
        "",
      ].join("\n"),
    );
    expect(exitCode).toBe(1);
  });

  it("asks for the namespace of a permission", async () => {
    const kubeconfig = await clusterWithout("delete", "shop");

    const { stdout } = await preflight(kubeconfig, "-r", "rules.yaml", "-o", "json");

    expect(JSON.parse(stdout)).toMatchObject({
      checked: 3,
      missing: [{ verb: "delete", api_group: "", resource: "pods", namespace: "shop", needed_by: [{ rule: "End" }] }],
    });
  });

  it("says why it cannot ask, and fails", async () => {
    const nowhere = { from: "file", path: "/nowhere/kubeconfig" } as const;

    const { stdout, stderr, exitCode } = await preflight(nowhere, "-r", "rules.yaml");

    expect(stderr).toMatch(
      /^error: the permissions cannot be checked: cannot load the kubeconfig \/nowhere\/kubeconfig: /,
    );
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
  });

  it.each([
    ["no\\u001b[2J\\u000away\n", 500, "application/json", '{ "kind": "Status", "message": "no\\u001b[2J\\nway" }'],
    ["the API server does not say whether it permits to patch pods\n", 201, "application/json", "{}"],
    ["the API server does not say whether it permits to patch pods\n", 200, "application/json", '"log in"'],
    ["the API server does not say whether it permits to patch pods\n", 200, "text/html", "<html>"],
    ["mediaType", 200, "", ""],
  ])("calls nothing missing because of an answer that is none: %s", async (words, status, type, body) => {
    const kubeconfig = await answering(status, type, body);

    const { stdout, stderr, exitCode } = await preflight(kubeconfig, "-r", "rules.yaml");

    expect(stderr).toMatch(/^error: the permissions cannot be checked: .*\n$/);
    expect(stderr).toContain(words);
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
  });

  it("asks nobody where nothing is needed", async () => {
    const { stdout } = await preflight({ from: "file", path: "/nowhere/kubeconfig" }, "-r", "calling.yaml");

    expect(stdout).toBe("these rules need nothing of Kubernetes\n");
  });
});

async function clusterWithout(verb?: string, namespace?: string): Promise<KubeconfigSource> {
  const playground = await startPlayground();
  onTestFinished(() => playground.close());
  if (verb !== undefined) {
    playground.faults.inject({ when: { verb, ...(namespace !== undefined && { namespace }) }, answer: 403 });
  }
  return { from: "text", text: playground.kubeconfig };
}

/** Of a server that says this to everything. */
async function answering(status: number, type: string, body: string): Promise<KubeconfigSource> {
  const server = createServer((_, response) => response.writeHead(status, { "content-type": type }).end(body));
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { from: "text", text: kubeconfigOf(`http://127.0.0.1:${port}`) };
}

function kubeconfigOf(server: string): string {
  const named = { clusters: [{ name: "a", cluster: { server } }], users: [{ name: "a", user: {} }] };
  const contexts = [{ name: "a", context: { cluster: "a", user: "a" } }];
  return JSON.stringify({ apiVersion: "v1", kind: "Config", ...named, contexts, "current-context": "a" });
}

type Argument = string | Readonly<Record<string, string>>;

function rbac(...args: readonly Argument[]) {
  return run((deps) => rbacCommand(deps), args);
}

function preflight(kubeconfig: KubeconfigSource, ...args: readonly Argument[]) {
  return run((deps) => preflightCommand({ ...deps, kubeconfigSource: () => kubeconfig }), args);
}

async function run(
  commandOf: (deps: Parameters<typeof rbacCommand>[0]) => ReturnType<typeof rbacCommand>,
  args: readonly Argument[],
) {
  const said = { stdout: "", stderr: "", exitCode: 0 };
  const files = Object.assign(
    { "rules.yaml": rules, "calling.yaml": calling, "config.yaml": config },
    ...args.filter((argument) => typeof argument !== "string"),
  );
  const command = commandOf({
    catalogue: realCatalogue,
    env: {},
    readFile: (path) => {
      if (files[path] === undefined) {
        throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      }
      return files[path];
    },
    write: (text) => {
      said.stdout += text;
    },
    writeError: (text) => {
      said.stderr += text;
    },
    setExitCode: (code) => {
      said.exitCode = code;
    },
  });
  await command.parseAsync(
    args.filter((argument) => typeof argument === "string"),
    { from: "user" },
  );
  return said;
}
