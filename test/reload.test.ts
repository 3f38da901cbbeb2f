import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { type Playground, startPlayground } from "../playground/index.ts";
import { type HalluxProcess, runHallux } from "./support/hallux-process.ts";
import { httpPeer } from "./support/http-peer.ts";
import { type Workplace, workplace } from "./support/workplace.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const soon = { timeout: 30_000, interval: 50 };

let playground: Playground;

beforeAll(async () => {
  playground = await startPlayground();
});

afterAll(() => playground.close());

const labelled = (value: string, more = "") => `
- rule: Label
  match: { rules: [Test Label] }
  actions:
    - { action: Mark, actionner: "kubernetes:label", parameters: { labels: { suspicious: "${value}" } } }
${more}`;

interface Place extends Workplace {
  write(name: string, text: string): void;
}

/** Configuration, rules and a kubeconfig in a directory of their own. */
function place(config: string, rules: string): Place {
  const files = workplace({ kubeconfig: playground.kubeconfig, "config.yaml": config, "rules.yaml": rules });
  onTestFinished(() => files[Symbol.dispose]());
  return { ...files, write: (name, text) => writeFileSync(files.path(name), text) };
}

function serve({ path }: Workplace, env: Readonly<Record<string, string>> = {}): HalluxProcess {
  const hallux = runHallux(["server", "-c", path("config.yaml"), "-r", path("rules.yaml")], {
    KUBECONFIG: path("kubeconfig"),
    ...(env["API_TOKEN_FILE"] === undefined && { API_TOKEN: "the-token" }),
    LEDGER_PATH: join(path("."), "ledger"),
    ...env,
  });
  onTestFinished(() => hallux[Symbol.asyncDispose]());
  return hallux;
}

function reload(url: string, token = "the-token"): Promise<Response> {
  return fetch(`${url}/-/reload`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
}

async function makePod(name: string): Promise<void> {
  const spec = { containers: [{ name: "main", image: "busybox" }] };
  await playground.seed([{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "shop" }, spec }]);
}

async function labelOf(name: string): Promise<unknown> {
  const answer = await fetch(`${playground.url}/api/v1/namespaces/shop/pods/${name}`, {
    headers: { authorization: `Bearer ${playground.token}` },
  });
  const { metadata } = (await answer.json()) as { metadata: { labels?: { suspicious?: string } } };
  return metadata.labels?.suspicious;
}

/** Sends an event about a new pod and gives the label that the response put on it. */
async function respondTo(url: string, hallux: HalluxProcess, pod: string): Promise<unknown> {
  await makePod(pod);
  const fields = { "k8s.pod.name": pod, "k8s.ns.name": "shop" };
  const body = JSON.stringify({ rule: "Test Label", priority: "Warning", output_fields: fields });
  await fetch(url, { method: "POST", body });
  await hallux.logged(({ msg, target }) => msg === "action ended" && target === `pod shop/${pod}`);
  return labelOf(pod);
}

async function statusOf(url: string): Promise<{ status: string; configuration: Record<string, unknown> }> {
  return (await (await fetch(`${url}/readyz?verbose`)).json()) as never;
}

async function metric(url: string, name: string): Promise<readonly string[]> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return page.split("\n").filter((line) => line.startsWith(name));
}

function fixture(name: string): string {
  return fileURLToPath(new URL(`../src/intake/fixtures/${name}`, import.meta.url));
}

function pem(name: string): string {
  return readFileSync(fixture(`${name}.pem`), "utf8");
}

/** The certificate that a new connection is shown. */
function servedBy(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? "");
      socket.destroy();
    }).once("error", reject);
  });
}

/** Sends what is no event, with this certificate, over connections and sessions that it keeps. 400 is the answer to whoever may send. */
function senderAs(name: string, port: number): () => Promise<number | undefined> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const options = { cert: pem(name), key: pem(`${name}-key`), rejectUnauthorized: false };
  return () =>
    new Promise((resolve, reject) => {
      request({ ...options, port, host: "127.0.0.1", method: "POST", agent }, (response) => {
        response.resume().once("end", () => resolve(response.statusCode));
      })
        .once("error", reject)
        .end("{}");
    });
}

/** Whether the process has a handler for SIGHUP, as Linux tells. */
function handlesHup(pid: number | undefined): boolean {
  const [, caught = "0"] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return (BigInt(`0x${caught}`) & 1n) === 1n;
}

const isProblem = ({ msg }: { readonly msg: string }) => msg === "configuration problem";
const isReloaded = ({ msg }: { readonly msg: string }) => msg === "configuration reloaded";
const isRefused = ({ msg }: { readonly msg: string }) => msg === "configuration refused: what was in force stays";

describe("changed rules are in force", () => {
  it("where the file was written", async () => {
    const files = place("", labelled("first"));
    const hallux = serve(files);
    const url = await hallux.listening();
    expect(await respondTo(url, hallux, "file-1")).toBe("first");

    files.write("rules.yaml", labelled("second"));
    await hallux.logged(isReloaded);

    expect(await respondTo(url, hallux, "file-2")).toBe("second");
  });

  it("where the kubelet swapped the ConfigMap", async () => {
    const files = place("", "[]");
    const volume = files.path("volume");
    const write = (version: string) => {
      mkdirSync(join(volume, `..${version}`), { recursive: true });
      writeFileSync(join(volume, `..${version}`, "rules.yaml"), labelled(version));
      symlinkSync(`..${version}`, join(volume, "..data_tmp"));
      renameSync(join(volume, "..data_tmp"), join(volume, "..data"));
    };
    write("first");
    symlinkSync("..data/rules.yaml", join(volume, "rules.yaml"));
    rmSync(files.path("rules.yaml"));
    symlinkSync("volume/rules.yaml", files.path("rules.yaml"));
    const hallux = serve(files);
    const url = await hallux.listening();

    write("second");
    await hallux.logged(isReloaded);

    expect(await respondTo(url, hallux, "swap-1")).toBe("second");
  });

  it("on SIGHUP, and at once", async () => {
    const files = place("watch_rules: false", labelled("first"));
    const hallux = serve(files);
    const url = await hallux.listening();
    files.write("rules.yaml", labelled("second"));

    hallux.signal("SIGHUP");
    const { cause } = await hallux.logged(isReloaded);

    expect(cause).toBe("signal");
    expect(await respondTo(url, hallux, "signal-1")).toBe("second");
  });

  it("on POST, and nothing happens where nothing changed", async () => {
    const files = place("watch_rules: false", labelled("first"));
    const hallux = serve(files);
    const url = await hallux.listening();
    const before = (await statusOf(url)).configuration["hash"];
    expect(await metric(url, "hallux_config_info{")).toEqual([`hallux_config_info{hash="${before}"} 1`]);
    files.write("rules.yaml", labelled("second"));

    const first = await reload(url);
    const second = await reload(url);

    const { hash } = (await first.json()) as { hash: string };
    expect(first.status).toBe(200);
    expect(hash).not.toBe(before);
    expect(await second.json()).toEqual({ status: "unchanged", hash, restart_needed: [] });
    expect(await metric(url, "hallux_config_info{")).toEqual([`hallux_config_info{hash="${hash}"} 1`]);
    expect(hallux.log().filter(isReloaded)).toHaveLength(1);
    expect(await respondTo(url, hallux, "post-1")).toBe("second");
  });

  it("not where nobody is to watch them", async () => {
    const files = place("watch_rules: false", labelled("first"));
    const hallux = serve(files);
    const url = await hallux.listening();

    files.write("rules.yaml", labelled("second"));
    await new Promise((resolve) => setTimeout(resolve, 1_000));

    expect(await respondTo(url, hallux, "unwatched-1")).toBe("first");
  });
});

describe("what is wrong changes nothing", () => {
  it("and is logged, answered, shown and measured; and forgotten when it is mended", async () => {
    const files = place("", labelled("first"));
    const hallux = serve(files);
    const url = await hallux.listening();
    const bad = labelled("second").replace("kubernetes:label", "kubernetes:lable");

    files.write("rules.yaml", bad);
    const told = await hallux.logged(isProblem);

    const answer = await reload(url);
    const { configuration, status } = await statusOf(url);
    expect(told).toMatchObject({ file: files.path("rules.yaml"), line: 5, column: 34 });
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({
      status: "refused",
      problems: [{ file: files.path("rules.yaml"), line: 5, message: expect.stringContaining("kubernetes:lable") }],
    });
    expect(status).toBe("ready");
    expect(configuration).toMatchObject({
      last_reload: "refused",
      problems: [expect.stringContaining(":5:34: error:")],
    });
    expect(await metric(url, "hallux_config_last_reload_successful")).toEqual([
      "hallux_config_last_reload_successful 0",
    ]);
    expect(await respondTo(url, hallux, "bad-1")).toBe("first");

    files.write("rules.yaml", labelled("first"));

    await vi.waitFor(async () => {
      expect((await statusOf(url)).configuration).toMatchObject({ last_reload: "successful", problems: [] });
    }, soon);
    expect(await metric(url, "hallux_config_last_reload_successful")).toEqual([
      "hallux_config_last_reload_successful 1",
    ]);
  });

  it("in the configuration neither, and what needs a start says so while the rest is in force", async () => {
    const files = place("concurrency: 9", labelled("first"));
    const hallux = serve(files);
    const url = await hallux.listening();

    files.write("config.yaml", "concurrency: none");
    await hallux.logged(isRefused);
    files.write("config.yaml", "deduplication: { time_window_seconds: 9 }\nlog_level: debug");
    await hallux.logged(
      ({ msg, setting }) => msg === "setting takes effect at the next start" && setting !== undefined,
    );

    const answer = await reload(url);
    expect(await answer.json()).toMatchObject({
      status: "unchanged",
      restart_needed: ["deduplication.time_window_seconds"],
    });
    expect((await statusOf(url)).configuration).toMatchObject({
      restart_needed: ["deduplication.time_window_seconds"],
    });
    await hallux.logged(({ level }) => level === "debug");
  });
});

describe("a request to reload", () => {
  it("does not end a Hallux that only starts", async () => {
    const hallux = serve(place("", labelled("first")));
    await vi.waitFor(() => expect(handlesHup(hallux.pid)).toBe(true), { timeout: 20_000, interval: 5 });

    hallux.signal("SIGHUP");

    expect(await hallux.listening()).toMatch(/^http/);
  });

  it("needs the token, and the method", async () => {
    const hallux = serve(place("", labelled("first")));
    const url = await hallux.listening();

    const [without, wrong, get] = await Promise.all([
      fetch(`${url}/-/reload`, { method: "POST" }),
      reload(url, "another"),
      fetch(`${url}/-/reload`, { headers: { authorization: "Bearer the-token" } }),
    ]);

    expect([without?.status, wrong?.status, get?.status]).toEqual([401, 401, 405]);
    expect(get?.headers.get("allow")).toBe("POST");
  });

  it("does not read what comes with it", async () => {
    const hallux = serve(place("", labelled("first")));
    const url = await hallux.listening();

    const answer = await fetch(`${url}/-/reload`, {
      method: "POST",
      headers: { authorization: "Bearer the-token" },
      body: "x".repeat(100_000),
    });

    expect(answer.status).toBe(200);
    expect(answer.headers.get("connection")).toBe("close");
  });
});

describe("what proves who somebody is", () => {
  it("changes for senders and readers", async () => {
    const files = place("", labelled("first"));
    for (const [name, text] of Object.entries({ sender: "old-sender", reader: "old-reader" })) {
      files.write(name, text);
    }
    const hallux = serve(files, {
      AUTH_BEARER_TOKEN_FILE: files.path("sender"),
      API_TOKEN_FILE: files.path("reader"),
    });
    const url = await hallux.listening();
    const send = async (token: string) =>
      (await fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: "{}" })).status;

    files.write("sender", "new-sender\n");
    files.write("reader", "new-reader\n");
    await vi.waitFor(async () => expect((await reload(url, "new-reader")).status).toBe(200), soon);

    expect(await send("old-sender")).toBe(401);
    expect(await send("new-sender")).toBe(400);
    expect((await reload(url, "old-reader")).status).toBe(401);
    expect(hallux.output()).not.toMatch(/(old|new)-(sender|reader)/);
  });

  it("changes for HTTPS, and a pair that does not fit is refused", async () => {
    const files = place("", labelled("first"));
    const put = (cert: string, key: string) => {
      files.write("cert.pem", pem(cert));
      files.write("key.pem", pem(`${key}-key`));
    };
    put("server", "server");
    const hallux = serve(files, { TLS_CERT_FILE: files.path("cert.pem"), TLS_KEY_FILE: files.path("key.pem") });
    const port = Number(new URL(await hallux.listening()).port);
    const first = await servedBy(port);

    put("client", "server");
    const told = await hallux.logged(isProblem);
    expect(told["problem"]).toContain("it is not the key of the certificate in");
    expect(await servedBy(port)).toBe(first);
    put("client", "client");
    await hallux.logged(isReloaded);

    expect(await servedBy(port)).not.toBe(first);
  });

  it("changes for senders with certificates, also on connections that are open", async () => {
    const files = place("", labelled("first"));
    files.write("ca.pem", pem("ca"));
    const hallux = serve(files, {
      TLS_CERT_FILE: fixture("server.pem"),
      TLS_KEY_FILE: fixture("server-key.pem"),
      TLS_CLIENT_CA_FILE: files.path("ca.pem"),
    });
    const port = Number(new URL(await hallux.listening()).port);
    const send = senderAs("client", port);
    expect(await send()).toBe(400);

    files.write("ca.pem", pem("stranger"));
    await hallux.logged(isReloaded);

    expect(await send()).toBe(401);
    const before = hallux.log().filter(isReloaded).length;
    files.write("ca.pem", pem("ca"));
    await vi.waitFor(() => expect(hallux.log().filter(isReloaded).length).toBeGreaterThan(before), soon);
    expect(await send()).toBe(400);
  });
});

describe("notifiers", () => {
  it("are told at their new address, with what waited for the old one", async () => {
    await using old = await httpPeer((_, response) => response.writeHead(503).end());
    await using other = await httpPeer((_, response) => response.end());
    const config = (url: string) => `default_notifiers: [webhook]\nnotifiers: { webhook: { url: "${url}" } }`;
    const files = place(config(old.url), labelled("first"));
    const hallux = serve(files);
    const url = await hallux.listening();
    await respondTo(url, hallux, "notified-1");
    await vi.waitFor(() => expect(old.requests.length).toBeGreaterThan(0), soon);

    files.write("config.yaml", config(other.url));
    await hallux.logged(isReloaded);
    await respondTo(url, hallux, "notified-2");

    await vi.waitFor(() => expect(other.requests.length).toBe(2), soon);
  });
});

describe("metrics", () => {
  it("show the rules and notifiers of the start at 0, and those that come later", async () => {
    const added = labelled("first").replace("rule: Label", "rule: Later");
    const files = place("watch_rules: false", labelled("first"));
    const hallux = serve(files);
    const url = await hallux.listening();
    const matches = await metric(url, "hallux_rule_matches_total{");
    files.write("rules.yaml", labelled("first", added));
    files.write("config.yaml", 'watch_rules: false\nnotifiers: { webhook: { url: "http://127.0.0.1:1" } }');

    const { status } = await reload(url);

    expect(status).toBe(200);
    expect(matches).toEqual(['hallux_rule_matches_total{rule="Label"} 0']);
    expect(await metric(url, "hallux_rule_matches_total{")).toEqual([
      ...matches,
      'hallux_rule_matches_total{rule="Later"} 0',
    ]);
    expect(await metric(url, "hallux_notifications_total{")).toContain(
      'hallux_notifications_total{notifier="webhook",result="success"} 0',
    );
  });
});

describe("1000 reloads", () => {
  it("leave nothing open", { timeout: 180_000 }, async () => {
    const files = place("watch_rules: true", labelled("0"));
    const hallux = serve(files);
    const url = await hallux.listening();
    const openFiles = () => readdirSync(`/proc/${hallux.pid}/fd`).length;
    const turn = async (round: number) => {
      files.write("rules.yaml", labelled(String(round)));
      const answer = await reload(url);
      expect(answer.status).toBe(200);
    };
    for (let round = 1; round <= 50; round += 1) {
      await turn(round);
    }
    const before = openFiles();

    for (let round = 51; round <= 1_050; round += 1) {
      await turn(round);
    }

    expect(openFiles()).toBeLessThanOrEqual(before + 5);
    expect(await respondTo(url, hallux, "many-1")).toBe("1050");
  });
});
