import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { eventOf } from "../../test/support/events.ts";
import { nobodysUrl } from "../../test/support/free-ports.ts";
import { aResponse, ended, historyOf, minute, startApi, token } from "../../test/support/history.ts";
import { sampleCatalogue } from "../../test/support/sample-catalogue.ts";
import { decodeEvent } from "../events/decode.ts";
import { LedgerUnavailable, type ResponseDetail } from "../ledger/ledger.ts";
import { responsesCommand } from "./responses.ts";

const actions = [
  { name: "Label", actionner: "kubernetes:label" },
  { name: "Isolate", actionner: "kubernetes:networkpolicy" },
  { name: "Delete", actionner: "kubernetes:terminate" },
];
const isolationFailed = [
  ended(0, { status: "success", message: "pod labelled" }),
  ended(1, { status: "failure", code: "forbidden", message: "not permitted" }),
  { type: "closed" as const, at: minute(1) },
];
const nodeTarget = { kind: "resource" as const, resource: "nodes", namespace: undefined, name: "n-1" };

describe("responses list", () => {
  it("shows a line for each, the newest first", async () => {
    const history = [
      aResponse({ id: "6f1c", at: minute(59), rule: "Reverse shell", actions, steps: isolationFailed }),
      aResponse({ id: "0b7a", at: minute(0), target: nodeTarget, steps: [] }),
    ];

    const { stdout, exitCode } = await run(history, "list");

    expect(stdout).toBe(
      [
        "RESPONSE  AGE  RULE                 TARGET           STATUS   ACTIONS",
        "6f1c      60s  Reverse shell        pod shop/cart-1  failure  kubernetes:label success, kubernetes:networkpolicy failure (forbidden), kubernetes:terminate not run",
        "0b7a      60m  Shell in a shop pod  nodes n-1        open     kubernetes:label pending",
        "",
      ].join("\n"),
    );
    expect(exitCode).toBe(0);
  });

  it("says that there are none", async () => {
    expect(await run([], "list")).toEqual({ stdout: "no responses\n", stderr: "", exitCode: 0 });
    expect((await run([], "list", "-o", "json")).stdout).toBe("[]\n");
    expect((await run([], "list", "-o", "yaml")).stdout).toBe("[]\n");
  });

  it("filters by rule, target, status and time", async () => {
    const history = [
      aResponse({ id: "late", at: minute(50) }),
      aResponse({ id: "other-rule", at: minute(40), rule: "Reverse shell" }),
      aResponse({ id: "other-target", at: minute(40), target: nodeTarget }),
      aResponse({ id: "failed", at: minute(40), actions, steps: isolationFailed }),
      aResponse({ id: "early", at: minute(5) }),
    ];

    const ids = async (...args: string[]) => {
      const { stdout } = await run(history, "list", "-o", "json", ...args);
      return JSON.parse(stdout).map(({ id }: { id: string }) => id);
    };

    expect(await ids("--rule", "Reverse shell")).toEqual(["other-rule"]);
    expect(await ids("--target", "nodes n-1")).toEqual(["other-target"]);
    expect(await ids("--status", "failure")).toEqual(["failed"]);
    expect(await ids("--since", "15m")).toEqual(["late"]);
    expect(await ids("--since", "2026-03-01T11:30:00+01:00")).toHaveLength(4);
  });

  it.each(["table", "json", "yaml"])("prints all pages as one %s", async (format) => {
    const ids = Array.from({ length: 450 }, (_, index) => `r-${index}`);

    const { stdout, stderr } = await run(
      ids.map((id) => aResponse({ id })),
      "list",
      "--all",
      "-o",
      format,
    );

    const listed = {
      table: () =>
        stdout
          .split("\n")
          .slice(1, -1)
          .map((line) => line.split(" ")[0]),
      json: () => JSON.parse(stdout).map(({ id }: { id: string }) => id),
      yaml: () => parse(stdout).map(({ id }: { id: string }) => id),
    }[format];
    expect(listed?.()).toEqual(ids);
    expect(stderr).toBe("");
  });

  it("ends at the limit, and says that there are more", async () => {
    const history = Array.from({ length: 300 }, (_, index) => aResponse({ id: `r-${index}` }));

    const { stdout, stderr } = await run(history, "list", "--limit", "250", "-o", "json");

    expect(JSON.parse(stdout)).toHaveLength(250);
    expect(stderr).toBe("there are more: --all, or a greater --limit\n");
  });

  it("says what the server says of a parameter", async () => {
    const { stderr, exitCode } = await run([], "list", "--since", "yesterday");

    expect(stderr).toMatch(/^error: "since" must be a duration \(15m, 24h, 7d\) or .*: got "yesterday"\n$/);
    expect(exitCode).toBe(1);
  });
});

describe("responses show", () => {
  it("tells a person what happened, what was done, who was told and how to undo it", async () => {
    const target = { kind: "pod" as const, namespace: "shop", name: "cart-1", uid: "5e4c1a1b" };
    const steps = [
      {
        type: "retrying" as const,
        at: minute(1),
        action: 0,
        attempt: 1,
        code: "timeout" as const,
        message: "no answer",
      },
      ended(0, {
        status: "success",
        message: "logs read",
        target,
        objects: { pod: "cart-1", namespace: "shop" },
        undo: "kubectl label pod cart-1 -n shop suspicious-",
        text: "line 1\r\n\tline 2\n",
        artifact: { output: "local:file", location: "/evidence/1.log", bytes: 12, sha256: "ab12" },
      }),
      { type: "notified" as const, at: minute(2), action: 0, notifier: "k8sevents", error: undefined },
      { type: "notified" as const, at: minute(2), action: 0, notifier: "webhook", error: "500" },
      { type: "closed" as const, at: minute(2) },
    ];
    const { event } = decodeEvent('{"rule":"Shell","priority":"Notice","output":"a shell","hostname":"node-1"}', {
      id: "e-1",
      receivedAt: minute(0),
    });
    const repeats = [{ event: "e-2", at: minute(3) }];

    const { stdout } = await run([aResponse({ id: "6f1c", event, steps, repeats })], "show", "6f1c");

    expect(stdout).toMatchInlineSnapshot(`
      "Response 6f1c: success

      What happened
        Falco rule Shell
        priority   Notice
        output     a shell
        time       2026-03-01T10:00:00.000Z
        received   2026-03-01T10:00:00.000Z (60m ago)
        source     syscall
        host       node-1
        event      e-1

      What matched
        rule       Shell in a shop pod
        target     pod shop/cart-1 (UID 5e4c1a1b)
        planned    2026-03-01T10:00:00.000Z
        closed     2026-03-01T10:02:00.000Z

      What was done
        1. Label (kubernetes:label): success, 11 ms
           message    logs read
           attempts   2
           failed     2026-03-01T10:01:00.000Z attempt 1: timeout: no answer
           target     pod shop/cart-1 (UID 5e4c1a1b)
           objects    pod=cart-1 namespace=shop
           artifact   local:file /evidence/1.log (12 bytes)
           sha256     ab12
           undo       kubectl label pod cart-1 -n shop suspicious-
           | line 1
           |     line 2

      Who was told
        k8sevents  2026-03-01T10:02:00.000Z of Label: delivered
        webhook    2026-03-01T10:02:00.000Z of Label: failed: 500

      Repeated by
        2026-03-01T10:03:00.000Z e-2
      "
    `);
  });

  it.each(["json", "yaml"])("keeps every digit, and every character, as %s", async (format) => {
    const output = "\u001b[2J\u009b31m\u202ereversed\u2028 '\"\\ \\u009b\r\n\ttab";
    const sent = { output, "\u009bkey": "multi\nline\u0085", marks: "a\u202eb", "mark\u2066ed": 1, digits: "N" };
    const text = `{"rule":"r","priority":"Notice",${JSON.stringify(sent).slice(1).replace('"N"', "1763689041886038257")}`;
    const { event } = decodeEvent(text, { id: "e-1", receivedAt: minute(0) });

    const { stdout } = await run([aResponse({ id: "6f1c", event })], "show", "6f1c", "-o", format);

    const report = format === "json" ? JSON.parse(stdout) : parse(stdout, { intAsBigInt: true });
    expect(report.event.sent).toMatchObject({
      output,
      "\u009bkey": "multi\nline\u0085",
      marks: "a\u202eb",
      "mark\u2066ed": expect.anything(),
    });
    expect(stdout).toMatch(/"?digits"?: 1763689041886038257\n/);
    expect(stdout).not.toMatch(dangerous);
  });

  it.each(["list", "show"])(
    "%s: nothing that came with an event reaches the terminal as more than text",
    async (command) => {
      const evil = "\u001b[2J\u001b]0;owned\u0007\r\nforged\u009b31m\u202e\u2028\u0000\u007f";
      const target = { kind: "resource" as const, resource: "pods", namespace: "shop", name: `n${evil}` };
      const event = eventOf({ output: evil, rule: evil, source: evil, hostname: evil });
      const steps = [
        ended(0, {
          status: "failure",
          code: "internal",
          message: evil,
          target,
          objects: { pod: evil, [evil]: "x" },
          text: `${evil}\n${evil}`,
          undo: evil,
          artifact: { output: evil, location: evil, bytes: 1, sha256: evil },
        }),
        { type: "notified" as const, at: minute(2), action: 0, notifier: evil, error: evil },
      ];
      const repeats = [{ event: evil, at: evil }];
      const history = [aResponse({ id: "6f1c", rule: evil, target, event, steps, repeats })];

      const { stdout } = await run(history, command, ...(command === "show" ? ["6f1c"] : []));

      expect(stdout).toContain("\\u001b[2J");
      expect(stdout).not.toMatch(dangerous);
      expect(stdout).not.toMatch(/^forged/m);
    },
  );

  it("says that there is none of this id, whatever it holds", async () => {
    const unknown = await run([], "show", "../../metrics?x=1#");

    expect(unknown).toEqual({
      stdout: "",
      stderr: "error: there is no response of this id, or no more\n",
      exitCode: 1,
    });
  });
});

describe("where there is no answer", () => {
  it("says that no server listens", async () => {
    const url = await nobodysUrl();

    const { stderr, exitCode } = await command({}, "list", "--server", url, "--token-file", "token");

    expect(stderr).toBe(
      `error: nothing listens at ${url}: is the server running? (-c names its configuration, --server another address)\n`,
    );
    expect(exitCode).toBe(1);
  });

  it("says which token the server does not take", async () => {
    const { url } = await startApi(historyOf([]));

    const { stderr } = await command({ HALLUX_API_TOKEN: "another" }, "list", "--server", url);

    expect(stderr).toBe(
      `error: ${url} does not take the token from HALLUX_API_TOKEN: is it the token of another server?\n`,
    );
  });

  it("says what the server says of itself", async () => {
    const broken = new LedgerUnavailable("the disk is \u001b[2Jfull");
    const { url } = await startApi({ ...historyOf([]), responses: () => Promise.reject(broken) });

    const { stderr } = await command({ HALLUX_API_TOKEN: token }, "list", "--server", url);

    expect(stderr).toBe("error: the history cannot be read now: the disk is \\u001b[2Jfull\n");
  });

  it("says what is wrong on the command line", async () => {
    await expect(command({}, "list", "--limit", "0")).rejects.toThrow("It must be a number, at least 1.");
    await expect(command({}, "list", "--all", "--limit", "5")).rejects.toThrow("cannot be used with option '--limit");
    await expect(command({}, "list", "--status", "fine")).rejects.toThrow("Allowed choices are success,");
  });
});

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach the terminal
const dangerous = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u2028\u2066]/;

/** Asks a server that holds these responses. */
async function run(history: readonly ResponseDetail[], ...args: readonly string[]) {
  const { url } = await startApi(historyOf(history));
  return command({ HALLUX_API_TOKEN: token }, ...args, "--server", url);
}

async function command(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const said = { stdout: "", stderr: "", exitCode: 0 };
  const responses = responsesCommand({
    catalogue: sampleCatalogue(),
    env,
    readFile: () => "a-token",
    stateDirectory: "/state",
    now: () => minute(60),
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
  for (const one of responses.commands) {
    one.exitOverride().configureOutput({ writeErr: () => undefined });
  }
  await responses.parseAsync([...args], { from: "user" });
  return said;
}
