import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Call, Store } from "../../src/catalogue/catalogue.ts";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import type { Container, Kubernetes, LogOptions, Pod } from "../../src/clients/kubernetes/port.ts";
import { eventOf } from "../../test/support/events.ts";
import { log } from "./log.ts";

const target = { kind: "pod", namespace: "shop", name: "cart-1", uid: "uid-1" } as const;

function container(name: string, traits: Partial<Container> = {}): Container {
  const state = { kind: "running" } as const;
  return { name, image: "busybox", id: "0123456789ab", running: true, state, restartCount: 0, ...traits };
}

function isEphemeral({ name }: Container): boolean {
  return name.startsWith("hallux-") || name.startsWith("debugger-");
}

/** Runs on a pod of these containers, whose logs are what the test says. */
function run(
  containers: readonly Container[],
  podLog: (options: LogOptions) => string | Error | Promise<string>,
  store?: Store,
) {
  const kubernetes = {
    getPod: async () =>
      ({ ...target, containers, ephemeralContainers: containers.filter(isEphemeral) }) as unknown as Pod,
    async podLog(_pod, options) {
      const answer = await podLog(options);
      if (answer instanceof Error) {
        throw answer;
      }
      return Buffer.from(answer);
    },
  } as Pick<Kubernetes, "getPod" | "podLog">;
  return log.run({
    event: eventOf({ pod: "shop/cart-1" }),
    target,
    params: { tail_lines: 20 },
    facts: {},
    clients: { kubernetes } as Call["clients"],
    store,
    rule: "a rule",
    objectionTo: () => undefined,
    attempt: 1,
    dryRun: false,
    signal: new AbortController().signal,
  });
}

describe("kubernetes:log", () => {
  it("leaves out the ephemeral containers that Hallux has added, and no others", async () => {
    const containers = [container("app"), container("debugger-x7f"), container("hallux-tcpdump-3f2a9c1e")];

    const outcome = await run(containers, ({ container: name }) => `from ${name}`);

    expect(outcome).toMatchObject({ summary: "logs read: app, debugger-x7f" });
  });

  it("reads the others where a container has not started or has no log", async () => {
    const containers = [container("app"), container("proxy"), container("young", { id: undefined })];

    const outcome = await run(containers, ({ container: name }) =>
      name === "proxy" ? new ActionError("invalid", "its log was rotated away") : "from the app",
    );

    expect(outcome).toMatchObject({
      status: "success",
      summary: "logs read: app; not read: proxy (its log was rotated away), young (it has not started)",
      text: "==> app <==\nfrom the app\n==> proxy <==\n(its log was rotated away)\n==> young <==\n(it has not started)\n",
    });
  });

  it("reads the log of a container whose predecessor's is gone", async () => {
    const outcome = await run([container("app", { restartCount: 2 })], ({ previous }) =>
      previous ? new ActionError("invalid", "previous terminated container not found") : "now\n",
    );

    expect(outcome).toMatchObject({
      summary: "logs read: app; not read: app (previous) (previous terminated container not found)",
    });
  });

  it("gives both logs of a restarted container, the older first, though they say the same", async () => {
    const outcome = await run([container("app", { restartCount: 1 })], () => "started\n");

    expect(outcome).toMatchObject({ text: "==> app (previous) <==\nstarted\n==> app <==\nstarted\n" });
  });

  it("fails where no log can be read", async () => {
    const outcome = run([container("app")], () => new ActionError("invalid", "rotated away"));

    await expect(outcome).rejects.toMatchObject({ code: "not_found", message: "no log of app: rotated away" });
  });

  it.each([
    ["the pod is gone", new TargetGone("gone")],
    ["it is not permitted", new ActionError("forbidden", "no")],
    ["the API server does not answer", new ActionError("unavailable", "no")],
  ])("ends where %s", async (_why, error) => {
    const outcome = run([container("app"), container("proxy")], ({ container: name }) =>
      name === "proxy" ? error : "from the app",
    );

    await expect(outcome).rejects.toBe(error);
  });

  it("keeps the ends of long logs, from the start of a line, within 16 KiB in all", async () => {
    const lines = Array.from({ length: 20 }, (_, index) => `${index} ${"é".repeat(1_000)}`).join("\n");

    const outcome = await run([container("app"), container("proxy")], () => lines);

    const text = "text" in outcome ? (outcome.text ?? "") : "";
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(16 * 1024);
    expect(text).toMatch(/^==> app <==\n16 é+\n17 é+\n18 é+\n19 é+\n==> proxy <==\n16 é+\n17 é+\n18 é+\n19 é+\n$/);
  });

  it("keeps the end of one endless line, and no broken character", async () => {
    const outcome = await run([container("app")], () => "é".repeat(100_000));

    expect(outcome).toHaveProperty("text", `${"é".repeat(8191)}\n`);
  });

  it("says that the newest lines are missing where a log was cut", async () => {
    const outcome = await run([container("app"), container("proxy")], ({ container: name, limitBytes }) =>
      name === "app" ? "x".repeat(limitBytes) : "short",
    );

    expect(outcome).toHaveProperty("summary", "logs read: app (cut after 4 MiB, without its newest lines), proxy");
  });

  it("asks for no more of a log than fits into memory", async () => {
    const asked: LogOptions[] = [];

    await run([container("app")], (options) => {
      asked.push(options);
      return "x";
    });

    expect(asked).toEqual([{ container: "app", tailLines: 20, previous: false, limitBytes: 4 * 1024 * 1024 }]);
  });

  it("reads one log after another", async () => {
    let reading = 0;
    let most = 0;
    const containers = [container("app", { restartCount: 1 }), container("proxy"), container("agent")];

    await run(containers, async () => {
      reading += 1;
      most = Math.max(most, reading);
      await turn();
      reading -= 1;
      return "x\n";
    });

    expect(most).toBe(1);
  });

  it("reads a container's log when the output has taken those before", async () => {
    const steps: string[] = [];
    const store: Store = async ({ body }) => {
      for await (const chunk of body) {
        const text = Buffer.from(chunk).toString().trim();
        steps.push(...(text.startsWith("from") ? [`stored ${text}`] : []));
      }
      return { output: "local:file", location: "/evidence/log", bytes: 1, sha256: "00" };
    };

    await run(
      [container("app"), container("proxy")],
      ({ container: name }) => {
        steps.push(`read ${name}`);
        return `from ${name}\n`;
      },
      store,
    );

    expect(steps).toEqual(["read app", "stored from app", "read proxy", "stored from proxy"]);
  });

  it("has the output store nothing where no log can be read", async () => {
    const store: Store = async ({ body }) => {
      await Array.fromAsync(body);
      return { output: "local:file", location: "/evidence/log", bytes: 1, sha256: "00" };
    };

    const outcome = run([container("app")], () => new ActionError("invalid", "rotated away"), store);

    await expect(outcome).rejects.toMatchObject({ code: "not_found" });
  });
});
