import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type Playground, startPlayground } from "../playground/index.ts";
import { startHallux } from "../src/hallux.ts";
import { createLogger } from "../src/telemetry/logs.ts";
import { eventually } from "./support/cluster.ts";
import { runHallux } from "./support/hallux-process.ts";
import { loadedFrom } from "./support/loaded.ts";
import { realCatalogue } from "./support/real-catalogue.ts";
import { type Workplace, workplace } from "./support/workplace.ts";

vi.setConfig({ testTimeout: 60_000 });

const proof = `${tmpdir()}/hallux-was-here`;

/** What an attacker may put into the fields of an event. */
const hostileTexts: Readonly<Record<string, string>> = {
  "terminal escapes": "\u001b]0;owned\u0007\u001b[2J\u001b[1;31m",
  "C1 controls": "\u009b2J\u0090\u0085",
  "a forged log line": 'x\n[2026-01-01T00:00:00.000Z] INFO: forged\r\n{"level":"info","msg":"hallux has stopped"}',
  "reordered text": "\u202egnp.exe\u2066\u2028\u2029\ufeff",
  NUL: "a\u0000b",
  "half a character": "\ud800",
  "a path": "../../../../etc/passwd",
  "an absolute path": "/proc/self/environ",
  "shell code": `\${PATH}$(touch ${proof})\`touch ${proof}\`; touch ${proof}`,
  templates: "{{constructor}} %s %o %j",
  "a query": "x?dryRun=All#frag",
  markup: "<script>alert(1)</script>",
  "a prototype key": "__proto__",
  "100 kB": "A".repeat(100_000),
  "100 kB of escapes": "\u001b".repeat(100_000),
};

/** Fields that would change how this process works, if they reached its environment. */
const variables = ["https_proxy", "HTTP_PROXY", "NODE_OPTIONS", "PATH", "LD_PRELOAD", "KUBECONFIG", "AWS_PROFILE"];
const targetFields = ["k8s.ns.name", "k8s.pod.name", "k8s.pod.uid", "ka.target.resource", "ka.target.name"];
const otherFields = ["fd.name", "proc.cmdline", "container.id", "container.name", "__proto__", "constructor"];

const rules = `
- rule: Everything
  match: {}
  actions:
    - { action: Mark, actionner: kubernetes:label, parameters: { labels: { suspicious: "true" } } }
    - action: Keep the log
      actionner: kubernetes:log
      output: { target: local:file, parameters: { destination: /evidence } }
    - action: Look around
      actionner: kubernetes:exec
      ignore_errors: true
      additional_contexts: [k8snode]
      parameters: { command: 'printf %s "$FD_NAME" "$PROC_CMDLINE" "$RULE" "$TAGS" "$HOSTNAME" > seen.txt' }
    - { action: Delete, actionner: kubernetes:delete, continue: true }
  notifiers: [k8sevents]
`;

/** Every field says the text, the target's too unless a pod is given; the keys are the text as well. */
function hostileEvent(text: string, pod?: string): string {
  const fields = [...variables, ...targetFields, ...otherFields, text].map((name) => [name, text]);
  const target = pod === undefined ? [] : Object.entries({ "k8s.ns.name": "shop", "k8s.pod.name": pod });
  return JSON.stringify({
    ...{ uuid: text, rule: text, source: text, hostname: text, output: text, time: text, tags: [text], [text]: text },
    priority: "Critical",
    output_fields: Object.fromEntries([...fields, ...target, ["k8s.pod.uid", null]]),
  });
}

/** Room for events with 100 kB in every field; and none of them is a repetition. */
const limits = { MAX_BODY_BYTES: "67108864", DEDUPLICATION_TIME_WINDOW_SECONDS: "0" };

/** Each text twice: about nothing that there can be, and about a pod that is there. */
const events = Object.values(hostileTexts).flatMap((text) => [hostileEvent(text), hostileEvent(text, "cart-1")]);

async function makeShop(): Promise<Playground> {
  const playground = await startPlayground();
  onTestFinished(() => playground.close());
  const spec = { containers: [{ name: "main", image: "busybox" }] };
  await playground.seed([{ apiVersion: "v1", kind: "Pod", metadata: { name: "cart-1", namespace: "shop" }, spec }]);
  playground.clearRequests();
  return playground;
}

/** Kubeconfig, rules, and a directory for the logs. */
function place({ kubeconfig }: Playground): Workplace & { readonly evidence: string } {
  const evidence = workplace({});
  const files = workplace({ kubeconfig, "rules.yaml": rules.replace("/evidence", evidence.directory) });
  onTestFinished(() => [evidence, files].forEach((directory) => void directory[Symbol.dispose]()));
  return { ...files, evidence: evidence.directory };
}

async function sendAll(url: string): Promise<number[]> {
  const statuses: number[] = [];
  for (const body of events) {
    statuses.push((await fetch(url, { method: "POST", body })).status);
  }
  return statuses;
}

/** All four actions of each event: one notification each. */
function allNotified(url: string): Promise<string> {
  return eventually(async () => {
    const page = await (await fetch(`${url}/metrics`)).text();
    const counts = page.split("\n").filter((line) => line.startsWith("hallux_notifications_total"));
    return counts.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0) === events.length * 4 && page;
  }, 40);
}

describe("hostile events", () => {
  it("change nothing but their target, and nothing on the terminal", async () => {
    const playground = await makeShop();
    const { path, evidence } = place(playground);
    const env = { KUBECONFIG: path("kubeconfig"), LOG_FORMAT: "text", PRINT_ALL_EVENTS: "true" };
    await using hallux = runHallux(["server", "-r", path("rules.yaml")], {
      ...env,
      ...limits,
    });
    const [, port] = await eventually(
      async () => /hallux is listening.*"port":(\d+)/.exec(hallux.output()) ?? undefined,
    );
    const url = `http://127.0.0.1:${port}`;

    const statuses = await sendAll(url);
    const metrics = await allNotified(url);
    hallux.signal("SIGTERM");
    const exit = await hallux.exited;

    expect(new Set(statuses)).toEqual(new Set([202]));
    expect(exit).toEqual({ code: 0, signal: null });
    expect(bytesThatATerminalObeys(hallux.output())).toEqual([]);
    expect(linesThatAreNotOurs(hallux.output())).toEqual([]);
    expect(metrics).toContain('rule="Everything"');
    expect(Object.values(hostileTexts).filter((text) => metrics.includes(text))).toEqual([]);
    expect(placesAsked(playground)).toEqual(["default", "shop", "shop/cart-1"]);
    expect(readdirSync(evidence).filter((name) => !/^[\w.-]+_shop_cart-1_log(-\d+)?(\.sha256)?$/.test(name))).toEqual(
      [],
    );
    expect(existsSync(proof)).toBe(false);
    expect(
      Math.max(
        ...hallux
          .output()
          .split("\n")
          .map((line) => line.length),
      ),
    ).toBeLessThan(20_000);
  });

  it("leave this process's environment and the prototypes as they are", async () => {
    const playground = await makeShop();
    const { path } = place(playground);
    const before = { ...process.env };
    const environment = { LISTEN_ADDRESS: "127.0.0.1", LISTEN_PORT: "0", ...limits };
    const readFile = (name: string) => readFileSync(name, "utf8");
    const hallux = await startHallux({
      ...(await loadedFrom({ env: environment, rules: [path("rules.yaml")], readFile })),
      catalogue: realCatalogue,
      logger: await createLogger({ format: "json", level: "info", destination: { write: () => undefined } }),
      version: "0.0.0",
      kubeconfig: { from: "text", text: playground.kubeconfig },
      readFile,
      metadataDisabled: true,
      stateDirectory: mkdtempSync(join(tmpdir(), "hallux-test-")),
      pid: process.pid,
      usage: () => ({ cpuSeconds: 0, residentBytes: 0 }),
    });
    const url = `http://127.0.0.1:${hallux.port}`;

    await sendAll(url);
    await allNotified(url);
    await hallux.stop();

    expect({ ...process.env }).toEqual(before);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});

/** Control characters but the line break, and marks that reorder text. */
function bytesThatATerminalObeys(output: string): string[] {
  return [...new Set(output.match(/[^\P{Cc}\n]|[\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu))];
}

/** Every line begins with the time, and none says what only an attacker says. */
function linesThatAreNotOurs(output: string): string[] {
  return output
    .trimEnd()
    .split("\n")
    .filter((line) => !/^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] (INFO|WARN): (?!forged)/.test(line))
    .map((line) => line.slice(0, 200));
}

/** The namespaces and pods that requests to the API server were about. */
function placesAsked({ requests }: Playground): string[] {
  const places = requests
    .filter(({ resource }) => resource !== "nodes")
    .map(({ namespace, name }) => [namespace, name].filter((part) => part !== undefined).join("/"));
  return [...new Set(places)].sort();
}
