import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { Secret } from "../schema/secret.ts";
import type { Reloaded } from "../settings/reload.ts";
import { createReloadPage, type ReloadPeers } from "./reload.ts";

const unchanged: Reloaded = { status: "unchanged", hash: "h", restartNeeded: ["listen_port"] };
const problem = { file: "rules.yaml", line: 2, column: 3, message: "unknown key", text: "pass: word", hint: undefined };

async function page(overrides: Partial<ReloadPeers> = {}) {
  const handle = createReloadPage({
    reload: async () => unchanged,
    token: new Secret("the-token"),
    metrics: { apiAnswered: () => undefined },
    logger: pino({ level: "silent" }),
    clock: () => new Date(),
    ...overrides,
  });
  const server = createServer(handle).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const ask = (method = "POST", token = "the-token") =>
    fetch(`http://127.0.0.1:${port}/-/reload`, { method, headers: { authorization: `Bearer ${token}` } });
  return { port, ask };
}

describe("POST /-/reload", () => {
  it("answers what is in force", async () => {
    const { ask } = await page();

    const answer = await ask();

    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ status: "unchanged", hash: "h", restart_needed: ["listen_port"] });
  });

  it("answers what is wrong, and not what stands there", async () => {
    const { ask } = await page({ reload: async () => ({ status: "refused", hash: "h", problems: [problem] }) });

    const answer = await ask();

    expect(answer.status).toBe(422);
    expect(await answer.json()).toEqual({
      status: "refused",
      hash: "h",
      problems: [{ file: "rules.yaml", line: 2, column: 3, message: "unknown key" }],
    });
  });

  it("begins nothing for whoever may not ask, or asks otherwise", async () => {
    let reloads = 0;
    const reload = async () => {
      reloads += 1;
      return unchanged;
    };
    const { ask } = await page({ reload });
    const closed = await page({ reload, token: undefined });

    const answers = await Promise.all([ask("POST", "x"), ask("GET"), ask("GET", "x"), closed.ask()]);

    expect(answers.map(({ status }) => status)).toEqual([401, 405, 405, 403]);
    expect(reloads).toBe(0);
  });

  it("counts each answer by its status, those to whoever guesses the token too", async () => {
    const counted: number[] = [];
    const metrics = { apiAnswered: (status: number) => void counted.push(status) };
    const { ask } = await page({ metrics });
    const refused = await page({
      metrics,
      reload: async () => ({ status: "refused", hash: "h", problems: [problem] }),
    });

    for (const asking of [() => ask(), () => ask("POST", "x"), () => ask("GET"), () => refused.ask()]) {
      await asking();
    }

    expect(counted).toEqual([200, 401, 405, 422]);
  });

  it("waits so long and no longer", async () => {
    const { ask } = await page({ reload: () => new Promise(() => {}), deadlineMs: 20 });

    expect((await ask()).status).toBe(503);
  });

  it("answers 503 where Hallux stops, and calls that no fault in the log", async () => {
    const lines: Record<string, unknown>[] = [];
    const logger = pino({ level: "debug" }, { write: (line) => void lines.push(JSON.parse(line)) });
    const { ask } = await page({ reload: () => Promise.reject(new Error("stopped")), logger });

    const answer = await ask();

    expect(answer.status).toBe(503);
    expect(lines).toMatchObject([{ level: 20, msg: "reload not begun: hallux is stopping" }]);
    expect(lines[0]).not.toHaveProperty("err");
  });

  it("reads nothing of what is sent with it, and does not wait for it", async () => {
    const { port } = await page();
    const socket = connect(port, "127.0.0.1");
    socket.write(
      "POST /-/reload HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer the-token\r\nContent-Length: 1000000000\r\n\r\nx",
    );
    let answer = "";
    socket.on("data", (part) => {
      answer += part;
    });

    await once(socket, "close");

    expect(answer).toMatch(/^HTTP\/1.1 200 /);
  });
});
