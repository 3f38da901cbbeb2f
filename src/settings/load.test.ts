import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { realCatalogue } from "../../test/support/real-catalogue.ts";
import { describeProblem } from "../schema/problem.ts";
import { loadSettings } from "./load.ts";

const pem = (name: string) => readFileSync(new URL(`../intake/fixtures/${name}.pem`, import.meta.url), "utf8");

const rules = `
- rule: Label
  match: {}
  actions:
    - action: Mark
      actionner: kubernetes:label
      parameters: { labels: { suspicious: "true" } }
`;

/** From these files and no others. */
function load(files: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}) {
  return loadSettings({
    path: "config.yaml",
    rulesFiles: ["rules.yaml"],
    env,
    catalogue: realCatalogue,
    readFile: (path) => {
      const text = { "config.yaml": "", "rules.yaml": rules, ...files }[path];
      if (text === undefined) {
        throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      }
      return text;
    },
  });
}

async function problemsOf(...given: Parameters<typeof load>): Promise<string[]> {
  return (await load(...given)).problems.map(describeProblem);
}

async function hashOf(...given: Parameters<typeof load>): Promise<string | undefined> {
  return (await load(...given)).settings?.hash;
}

describe("loading the settings", () => {
  it("tells every file that was read for it, those that are missing, too", async () => {
    const { contents } = await load({
      "config.yaml": "api: { token_file: token }\ngcp: { credentials_path: key.json }",
      token: "t",
    });

    expect([...contents.keys()]).toEqual(expect.arrayContaining(["config.yaml", "rules.yaml", "token", "key.json"]));
  });

  it("reads each file once", async () => {
    let reads = 0;
    const readFile = (path: string) => {
      reads += path === "key.pem" ? 1 : 0;
      return path === "rules.yaml" ? rules : pem(path === "key.pem" ? "server-key" : "server");
    };
    const env = { TLS_CERT_FILE: "cert.pem", TLS_KEY_FILE: "key.pem" };

    const { settings } = await loadSettings({ rulesFiles: ["rules.yaml"], env, catalogue: realCatalogue, readFile });

    expect(settings?.tls?.key.reveal()).toBe(pem("server-key"));
    expect(reads).toBe(1);
  });

  it("takes what is known of a file instead of reading it", async () => {
    const known = new Map([["rules.yaml", { text: "[]" }]]);

    const { settings } = await loadSettings(
      { rulesFiles: ["rules.yaml"], env: {}, catalogue: realCatalogue, readFile: () => rules },
      known,
    );

    expect(settings?.rules.rules).toEqual([]);
  });

  it("shows where a rule names a notifier that lacks its settings", async () => {
    const problems = await problemsOf({ "rules.yaml": `${rules}  notifiers:\n    - k8sevents\n    - webhook\n` });

    expect(problems).toEqual([
      'rules.yaml:10:7: error: rule "Label": notifier webhook lacks its settings (notifiers.webhook in the configuration)',
    ]);
  });

  it("shows it for each of thousands of rules, in the last file that names it", async () => {
    const many = Array.from(
      { length: 2000 },
      (_, n) => `${rules.trim().replace("Label", `Label ${n}`)}\n  notifiers: [webhook]\n`,
    ).join("");

    const problems = await problemsOf({ "rules.yaml": many });

    expect(problems).toHaveLength(2000);
    expect(problems.at(-1)).toMatch(/^rules\.yaml:14000:15: error: rule "Label 1999": notifier webhook lacks/);
  });

  it("tells what is wrong with the rules and the certificates together", async () => {
    const problems = await problemsOf(
      { "rules.yaml": "- rule: R\n  matsch: {}\n", cert: pem("server"), key: pem("client-key") },
      { TLS_CERT_FILE: "cert", TLS_KEY_FILE: "key" },
    );

    expect(problems).toEqual(expect.arrayContaining(["key: error: it is not the key of the certificate in cert"]));
    expect(problems.some((problem) => problem.startsWith("rules.yaml:2:3: error: unknown key"))).toBe(true);
  });

  it.each([
    ["a certificate that is none", { cert: "x", key: pem("server-key") }, "cert: error: it holds no certificate (PEM)"],
    [
      "half a certificate",
      { cert: pem("server").slice(0, 200), key: pem("server-key") },
      "cert: error: it holds no certificate (PEM)",
    ],
    [
      "a key that is none",
      { cert: pem("server"), key: "x" },
      "key: error: it holds no private key (PEM, without passphrase)",
    ],
    [
      "authorities that are none",
      { cert: pem("server"), key: pem("server-key"), ca: "x" },
      "ca: error: it holds no certificate (PEM)",
    ],
  ])("refuses %s", async (_, files, problem) => {
    const env = { TLS_CERT_FILE: "cert", TLS_KEY_FILE: "key", ...("ca" in files ? { TLS_CLIENT_CA_FILE: "ca" } : {}) };

    expect(await problemsOf(files, env)).toEqual([problem]);
  });
});

describe("the hash of the settings", () => {
  it("is another where a rule, a setting or a certificate is", async () => {
    const hashes = await Promise.all([
      hashOf({}),
      hashOf({ "rules.yaml": rules.replace("true", "yes") }),
      hashOf({ "config.yaml": "concurrency: 9" }),
      hashOf({ cert: pem("server"), key: pem("server-key") }, { TLS_CERT_FILE: "cert", TLS_KEY_FILE: "key" }),
    ]);

    expect(new Set(hashes).size).toBe(4);
    expect(hashes.every((hash) => /^[0-9a-f]{64}$/.test(hash ?? ""))).toBe(true);
  });

  it("is the same for each replica, and where only a comment changed", async () => {
    const one = await hashOf({}, { POD_NAME: "hallux-0", POD_NAMESPACE: "hallux" });
    const other = await hashOf({ "rules.yaml": `# why\n${rules}` }, { POD_NAME: "hallux-1", POD_NAMESPACE: "hallux" });

    expect(one).toBe(other);
  });

  it("says nothing of a secret, of which the digest does", async () => {
    const files = (token: string, url: string) => ({
      token,
      "config.yaml": `api: { token_file: token }\nnotifiers: { slack: { webhook_url: "${url}" } }`,
    });
    const [old, rotated] = await Promise.all([
      load(files("t", "https://one.example")),
      load(files("u", "https://other.example")),
    ]);

    expect(rotated.settings?.hash).toBe(old.settings?.hash);
    expect(rotated.digest).not.toBe(old.digest);
  });

  it("says nothing of who logs in by a URL, and where that is", async () => {
    const servers = (...urls: readonly string[]) => ({ "config.yaml": `ledger: { nats: { servers: [${urls}] } }` });

    const [old, rotated, moved] = await Promise.all([
      hashOf(servers("nats://hallux:one@a:4222", "hallux:one@b:4222")),
      hashOf(servers("nats://hallux:two@a:4222", "other:three@b:4222")),
      hashOf(servers("nats://hallux:one@a:4222", "hallux:one@c:4222")),
    ]);

    expect(rotated).toBe(old);
    expect(moved).not.toBe(old);
  });
});
