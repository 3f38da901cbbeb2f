import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { type Playground, startPlayground } from "../playground/index.ts";
import { type HalluxProcess, runHallux } from "./support/hallux-process.ts";
import { httpPeer } from "./support/http-peer.ts";
import { type Workplace, workplace } from "./support/workplace.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const talonConfig = fileURLToPath(new URL("../src/config/fixtures/talon.yaml", import.meta.url));
const certificate = (name: string) => fileURLToPath(new URL(`../src/intake/fixtures/${name}`, import.meta.url));

const labelRules = `
- rule: Label
  match:
    rules: [Test Label]
  actions:
    - action: Mark
      actionner: kubernetes:label
      parameters: { labels: { suspicious: "true" } }
`;

let playground: Playground;
let files: Workplace;

beforeAll(async () => {
  playground = await startPlayground();
  files = workplace({ kubeconfig: playground.kubeconfig, "rules.yaml": labelRules });
});

afterAll(async () => {
  files[Symbol.dispose]();
  await playground.close();
});

/** A server with the rules above on the playground. */
function serve(env: Readonly<Record<string, string>> = {}, ...args: string[]): HalluxProcess {
  const rules = args.includes("-r") ? [] : ["-r", files.path("rules.yaml")];
  return runHallux(["server", ...rules, ...args], { KUBECONFIG: files.path("kubeconfig"), ...env });
}

async function makePod(name: string): Promise<void> {
  const spec = { containers: [{ name: "main", image: "busybox" }] };
  await playground.seed([{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "shop" }, spec }]);
}

async function labelsOf(name: string): Promise<unknown> {
  const answer = await fetch(`${playground.url}/api/v1/namespaces/shop/pods/${name}`, {
    headers: { authorization: `Bearer ${playground.token}` },
  });
  return ((await answer.json()) as { metadata: { labels?: unknown } }).metadata.labels;
}

/** As in the curl lines of Talon's documentation. */
function attackOn(pod: string): string {
  const fields = `"k8s.pod.name":"${pod}", "k8s.ns.name":"shop"`;
  return `{"output":"Test","priority":"Warning","Rule":"Test Label","time":"2019-05-17T15:31:56.746609046Z", "output_fields": {${fields}}}`;
}

function send(url: string, pod = "nobody", headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: "POST", headers, body: attackOn(pod) });
}

function isAbout(pod: string) {
  return ({ msg, target }: { msg: string; target?: unknown }) => msg === "action ended" && target === `pod shop/${pod}`;
}

describe("hallux server", () => {
  it("starts with Talon's own configuration and says which settings change nothing", async () => {
    await using hallux = serve({}, "-c", talonConfig);

    const url = await hallux.listening();

    const remarks = hallux.log().filter(({ msg }) => msg === "setting without effect");
    expect(remarks.map(({ remark }) => String(remark).replace(/ has no effect.*/, ""))).toEqual([
      "deduplication.leader_election",
    ]);
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: "ok" });
    // The client of Kubernetes is loaded after it listens.
    await vi.waitFor(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200), { timeout: 20_000 });
  });

  it("labels the pod that an event names", async () => {
    await makePod("cart-1");
    await using hallux = serve();
    const url = await hallux.listening();

    const answer = await send(url, "cart-1");
    const ended = await hallux.logged(isAbout("cart-1"));

    expect(answer.status).toBe(202);
    expect(ended).toMatchObject({ rule: "Label", action: "Mark", actionner: "kubernetes:label", status: "success" });
    expect(await labelsOf("cart-1")).toEqual({ suspicious: "true" });
  });

  it("is not ready without access to a cluster, and says what to do", async () => {
    const missing = files.path("no-such-kubeconfig");
    await using hallux = serve({ KUBECONFIG: missing });
    const url = await hallux.listening();

    const line = await hallux.logged(({ level }) => level === "error");

    const answer = await fetch(`${url}/readyz`);
    expect(answer.status).toBe(503);
    expect(JSON.stringify(await answer.json())).toContain(missing);
    expect(line.msg).toMatch(/^no access to kubernetes: set kubeconfig/);
    expect(line["reason"]).toContain(missing);
  });

  it("warns where everyone may send events", async () => {
    await using open = serve({ LISTEN_ADDRESS: "0.0.0.0" });
    await using closed = serve({ LISTEN_ADDRESS: "0.0.0.0", AUTH_BEARER_TOKEN: "t" });
    await Promise.all([open.listening(), closed.listening()]);

    const warnings = (hallux: HalluxProcess) => hallux.log().filter(({ level }) => level === "warn");

    expect(warnings(open).map(({ msg }) => msg)).toEqual([
      "no authentication is configured: whoever reaches this port can cause responses",
    ]);
    expect(warnings(closed)).toEqual([]);
  });
});

describe("hallux server does not start", () => {
  it("with rules that are wrong, and tells each fault with its place", async () => {
    using bad = workplace({
      "rules.yaml": labelRules.replace("kubernetes:label", "kubernetes:lable").replace("rules: [", "ruls: ["),
    });
    await using hallux = serve({}, "-r", bad.path("rules.yaml"));

    const { code } = await hallux.exited;

    expect(code).toBe(1);
    const rules = bad.path("rules.yaml");
    expect(hallux.output().split("\n")).toEqual([
      expect.stringMatching(`^${rules}:4:5: error: .*ruls.*did you mean "rules"`),
      expect.stringMatching(`^${rules}:7:18: error: .*kubernetes:lable.*did you mean "kubernetes:label"`),
      "",
    ]);
  });

  it("with a configuration that is wrong, and tells each fault with its place", async () => {
    using bad = workplace({ "config.yaml": "listen_prot: 2803\nlog_format: colour\n" });
    await using hallux = runHallux(["server", "-c", bad.path("config.yaml")], { LISTEN_PORT: "many" });

    const { code } = await hallux.exited;

    expect(code).toBe(1);
    expect(hallux.output()).toMatch(/config\.yaml:1:1: error: .*listen_prot.*did you mean "listen_port"/);
    expect(hallux.output()).toMatch(/environment: LISTEN_PORT: error: /);
    expect(hallux.output()).not.toContain("    at ");
  });

  it("with a rules file that is not there", async () => {
    await using hallux = serve({}, "-r", "/nowhere/rules.yaml");

    const { code } = await hallux.exited;

    expect(code).toBe(1);
    expect(hallux.output()).toMatch(/^\/nowhere\/rules\.yaml: error: the file cannot be read: it does not exist/);
  });

  it("on a port that is taken, and says so", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    await using hallux = serve({ LISTEN_PORT: String(port) });

    const { code } = await hallux.exited;
    other.close();

    expect(code).toBe(1);
    expect(hallux.log()).toMatchObject([
      {
        level: "fatal",
        msg: "hallux cannot start",
        reason: `127.0.0.1:${port} is taken by another process: end that one, or set another listen_port`,
      },
    ]);
  });
});

describe("hallux server, with an output that is not configured", () => {
  it("starts, and says which actions will fail", async () => {
    using place = workplace({
      "rules.yaml": `
- rule: Evidence
  match: {}
  actions:
    - action: Keep the log
      actionner: kubernetes:log
      output: { target: minio:s3, parameters: { bucket: evidence } }
`,
    });

    await using hallux = serve({}, "-r", place.path("rules.yaml"));
    await hallux.listening();

    expect(hallux.log()).toContainEqual(
      expect.objectContaining({
        level: "warn",
        remark:
          'rule "Evidence": action "Keep the log" will fail, for minio:s3 lacks minio.endpoint in the configuration',
      }),
    );
  });
});

describe("hallux server, told to stop", () => {
  const patches = { verb: "patch", resource: "pods" } as const;

  it("says that it is not ready, takes events a while yet, ends what runs, and exits with 0", async () => {
    await makePod("cart-2");
    await using hallux = serve({ SHUTDOWN_DELAY_SECONDS: "5" });
    const url = await hallux.listening();
    const underWay = playground.faults.inject({ when: { ...patches, name: "cart-2" }, delayMs: 1000 });
    await send(url, "cart-2");
    await hallux.logged(({ msg }) => msg === "event matched");

    hallux.signal("SIGTERM");
    await hallux.logged(({ msg }) => msg === "hallux is stopping");
    const ready = await fetch(`${url}/readyz`);
    await makePod("cart-5");
    await send(url, "cart-5");
    const exit = await hallux.exited;
    underWay();

    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ status: "not ready", reasons: ["Hallux is stopping"] });
    expect(exit).toEqual({ code: 0, signal: null });
    expect(hallux.log().find(isAbout("cart-2"))).toMatchObject({ status: "success" });
    expect(hallux.log().at(-1)?.msg).toBe("hallux has stopped");
    expect(await labelsOf("cart-2")).toEqual({ suspicious: "true" });
    expect(await labelsOf("cart-5")).toEqual({ suspicious: "true" });
  });

  it("leaves what outlives the grace period to the next start, which ends it", async () => {
    await makePod("cart-3");
    using state = workplace({});
    const settings = { SHUTDOWN_GRACE_SECONDS: "0", LEDGER_PATH: state.path("ledger") };
    await using hallux = serve(settings);
    const url = await hallux.listening();
    const free = playground.faults.inject({ when: { ...patches, name: "cart-3" }, hang: true });
    await send(url, "cart-3");
    await hallux.logged(({ msg }) => msg === "event matched");

    hallux.signal("SIGTERM");
    const exit = await hallux.exited;
    free();
    await using next = serve(settings);
    const ended = await next.logged(isAbout("cart-3"));

    expect(exit.code).toBe(0);
    expect(hallux.log().find(isAbout("cart-3"))).toBeUndefined();
    expect(ended).toMatchObject({ status: "success" });
    expect(await labelsOf("cart-3")).toEqual({ suspicious: "true" });
  });

  it("ends at once when told twice, and the next start ends what ran", async () => {
    await makePod("cart-4");
    using state = workplace({});
    const settings = { SHUTDOWN_GRACE_SECONDS: "3600", LEDGER_PATH: state.path("ledger") };
    await using hallux = serve({ ...settings, ACTION_TIMEOUT_SECONDS: "3600" });
    const url = await hallux.listening();
    const free = playground.faults.inject({ when: { ...patches, name: "cart-4" }, hang: true });
    await send(url, "cart-4");
    await hallux.logged(({ msg }) => msg === "event matched");

    hallux.signal("SIGTERM");
    await hallux.logged(({ msg }) => msg === "hallux is stopping");
    hallux.signal("SIGTERM");
    const exit = await hallux.exited;
    free();
    await using next = serve(settings);
    const ended = await next.logged(isAbout("cart-4"));

    expect(exit).toEqual({ code: 1, signal: null });
    expect(hallux.log().find(isAbout("cart-4"))).toBeUndefined();
    expect(ended).toMatchObject({ status: "success" });
  });
});

describe("hallux server, on a ledger that another one has", () => {
  it("does not start, and says who has it", async () => {
    using state = workplace({});
    await using first = serve({ LEDGER_PATH: state.path("ledger") });
    await first.listening();

    await using second = serve({ LEDGER_PATH: state.path("ledger") });
    const { code } = await second.exited;

    expect(code).toBe(1);
    expect(second.log()).toContainEqual(
      expect.objectContaining({ reason: expect.stringContaining(String(first.pid)), msg: "hallux cannot start" }),
    );
  });
});

describe("hallux server, on a ledger that cannot be written", () => {
  it("says so on /readyz and answers 503, and lives", async () => {
    using state = workplace({ ledger: "a file, not a directory" });
    await using hallux = serve({ LEDGER_PATH: state.path("ledger") });
    const url = await hallux.listening();

    const ready = await fetch(`${url}/readyz`);
    const sent = await send(url, "cart-1");
    const health = await fetch(`${url}/healthz`);

    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ reasons: [expect.stringContaining("is not a directory")] });
    expect(sent.status).toBe(503);
    expect(await sent.json()).toMatchObject({ error: { message: expect.stringContaining("is not a directory") } });
    expect(health.status).toBe(200);
  });
});

describe("hallux server, with authentication", () => {
  it("takes events by bearer token, by password and by secret path, and no others", async () => {
    using secrets = workplace({ token: "a-token\n" });
    await using hallux = serve({
      AUTH_BEARER_TOKEN_FILE: secrets.path("token"),
      AUTH_BASIC_USER: "falco",
      AUTH_BASIC_PASSWORD: "a-password",
      AUTH_PATH_SECRET: "a-path",
    });
    const url = await hallux.listening();
    const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString("base64")}` });

    const answers = await Promise.all([
      send(url, "a", { authorization: "Bearer a-token" }),
      send(url, "b", basic("falco:a-password")),
      send(`${url}/a-path`, "c"),
      send(url, "d"),
      send(url, "e", { authorization: "Bearer a-toke" }),
      send(url, "f", basic("falco:a-passwor")),
      send(`${url}/a-pat`, "g"),
    ]);

    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 401, 401, 401, 401]);
  });

  it("takes events by client certificate", async () => {
    await using hallux = serve({
      TLS_CERT_FILE: certificate("server.pem"),
      TLS_KEY_FILE: certificate("server-key.pem"),
      TLS_CLIENT_CA_FILE: certificate("ca.pem"),
    });
    const url = await hallux.listening();

    const statuses = [
      await sendWithCertificate(url, "client"),
      await sendWithCertificate(url, "stranger"),
      await sendWithCertificate(url, undefined),
    ];

    expect(url).toMatch(/^https:/);
    expect(statuses).toEqual([202, 401, 401]);
  });
});

function sendWithCertificate(url: string, name: string | undefined): Promise<number | undefined> {
  const pem = (file: string) => readFileSync(certificate(`${file}.pem`));
  const own = name === undefined ? {} : { cert: pem(name), key: pem(`${name}-key`) };
  return new Promise((resolve, reject) => {
    const sending = request(url, { method: "POST", ca: pem("ca"), agent: false, ...own }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    sending.on("error", reject).end(attackOn("nobody"));
  });
}

describe("secrets", () => {
  const marker = "S3CRET";
  const secret = (name: string) => `${marker}-${name}`;

  it("appear in no log, no metric, no answer and no error of the server", async () => {
    using own = workplace({
      bearer: secret("bearer"),
      kubeconfig: playground.kubeconfig.replace(playground.token, secret("kubernetes-token")),
      "rules.yaml": `${labelRules}  notifiers: [webhook]\n`,
    });
    await using peer = await httpPeer(({ headers, url }, response) =>
      response.writeHead(400).end(`no: ${JSON.stringify(headers)} ${url}`),
    );
    await using hallux = serve(
      {
        KUBECONFIG: own.path("kubeconfig"),
        LOG_LEVEL: "debug",
        ACTION_RETRY_SECONDS: "0",
        AUTH_BEARER_TOKEN_FILE: own.path("bearer"),
        AUTH_BASIC_USER: "falco",
        AUTH_BASIC_PASSWORD: secret("password"),
        AUTH_PATH_SECRET: secret("path"),
        AWS_ACCESS_KEY: "AKIDEXAMPLE",
        AWS_SECRET_KEY: secret("aws"),
        NOTIFIERS_WEBHOOK_URL: `${peer.url}/${secret("webhook")}`,
        NOTIFIERS_WEBHOOK_CUSTOM_HEADERS: `Authorization=Bearer ${secret("header")}`,
      },
      "-r",
      own.path("rules.yaml"),
    );
    const url = await hallux.listening();

    const answers = [
      await send(url, "x", { authorization: `Bearer ${secret("bearer")}` }),
      await send(`${url}/${secret("path")}`, "y"),
      await send(`${url}/${secret("path")}/z`, "z"),
      await send(url, "z", { authorization: `Bearer ${secret("bearer")}x` }),
      await fetch(`${url}/${secret("path")}`, { method: "POST", body: "no json" }),
      await fetch(`${url}/${secret("path")}`),
      await fetch(`${url}/metrics`),
      await fetch(`${url}/readyz`),
    ];
    await hallux.logged(({ msg }) => msg === "notification failed");
    hallux.signal("SIGTERM");
    await hallux.exited;

    const texts = await Promise.all(answers.map((answer) => answer.text()));
    expect(peer.requests[0]?.url).toBe(`/${secret("webhook")}`);
    expect([...texts, hallux.output()].filter((text) => text.includes(marker))).toEqual([]);
  });

  it("appear in no problem of a configuration that is refused", async () => {
    using own = workplace({
      "config.yaml": `auth: { path_secret: "${secret("with blanks")} ", bearer_tokn: ${secret("misspelt")} }\naws: { secret_key: [${secret("list")}] }\n`,
    });
    await using hallux = runHallux(["server", "-c", own.path("config.yaml")], {
      NOTIFIERS_WEBHOOK_CUSTOM_HEADERS: secret("no-pair"),
    });

    const { code } = await hallux.exited;

    expect(code).toBe(1);
    expect(hallux.output()).toContain("config.yaml:1:");
    expect(hallux.output()).not.toContain(marker);
  });

  it("are masked in the effective configuration", async () => {
    await using hallux = runHallux(["config", "print"], {
      AUTH_BEARER_TOKEN: secret("bearer"),
      NOTIFIERS_WEBHOOK_URL: `http://127.0.0.1:1/${secret("webhook")}`,
      NOTIFIERS_WEBHOOK_CUSTOM_HEADERS: `X-Key=${secret("header")}`,
    });

    const { code } = await hallux.exited;

    expect(code).toBe(0);
    expect(parse(hallux.output())).toMatchObject({ auth: { bearer_token: "[secret]" } });
    expect(hallux.output()).not.toContain(marker);
  });
});
