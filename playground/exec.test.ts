import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type Playground, startPlayground } from "./index.ts";
import { ask, podSeed } from "./testing.ts";

const everything = ["stdin", "stdout", "stderr"];

let playground: Playground;

beforeEach(async () => {
  playground = await startPlayground();
  await playground.seed([podSeed("web-1")]);
});

afterEach(() => playground.close());

/** What came on each channel until the connection ended. */
class Session {
  readonly socket: WebSocket;
  readonly ended: Promise<Record<number, string>>;

  constructor(command: readonly string[], { streams = everything, protocol = "v5.channel.k8s.io" } = {}) {
    const query = new URLSearchParams([
      ...command.map((argument) => ["command", argument]),
      ...streams.map((stream) => [stream, "true"]),
    ]);
    const url = `${playground.url}/api/v1/namespaces/shop/pods/web-1/exec?${query}`;
    const headers = { Authorization: `Bearer ${playground.token}` };
    this.socket = new WebSocket(url, protocol, { headers });
    this.ended = new Promise((resolve, reject) => {
      const channels: Record<number, string> = {};
      this.socket.on("message", (data: Buffer) => {
        const [channel = -1] = data;
        channels[channel] = (channels[channel] ?? "") + data.subarray(1).toString();
      });
      this.socket.once("close", () => resolve(channels));
      this.socket.once("unexpected-response", (_request, response) => reject(new Error(String(response.statusCode))));
      this.socket.once("error", reject);
    });
  }
}

const run = (...command: readonly string[]) => new Session(command).ended;
const exitCode = (status: string | undefined) => JSON.parse(status ?? "{}").details?.causes?.[0]?.message;

describe("exec", () => {
  it("gives both streams and the exit code", async () => {
    const channels = await run("sh", "-c", "echo out; echo err >&2; exit 3");

    expect(channels).toMatchObject({ 1: "out\n", 2: "err\n" });
    expect(JSON.parse(channels[3] ?? "")).toMatchObject({ status: "Failure", reason: "NonZeroExitCode" });
    expect(exitCode(channels[3])).toBe("3");
  });

  it("speaks the older protocol too, and says when all went well", async () => {
    const channels = await new Session(["true"], { protocol: "v4.channel.k8s.io" }).ended;

    expect(JSON.parse(channels[3] ?? "")).toMatchObject({ status: "Success" });
  });

  it("passes every argument as it is, of 100 kB too", async () => {
    const hostile = `$(touch pwned);'"\n${"x".repeat(100_000)}`;

    const channels = await run("sh", "-c", 'printf %s "$1"; ls', "sh", hostile);

    expect(channels[1]).toBe(hostile);
  });

  it("reads standard input until the client closes it", async () => {
    const session = new Session(["cat"]);
    session.socket.once("open", () => {
      session.socket.send(Buffer.from("\0hello"));
      session.socket.send(Buffer.from([255, 0]));
    });

    const channels = await session.ended;

    expect(channels[1]).toBe("hello");
  });

  it("does not learn in the older protocol that standard input ends", async () => {
    const session = new Session(["sh", "-c", "read -r line; echo $line; cat; echo ended"], {
      protocol: "v4.channel.k8s.io",
    });
    const first = new Promise<string>((resolve) => {
      session.socket.on("message", (data: Buffer) => data.length > 1 && resolve(data.subarray(1).toString()));
    });
    session.socket.once("open", () => {
      session.socket.send(Buffer.from("\0hello\n"));
      session.socket.send(Buffer.from([255, 0]));
    });

    expect(await first).toBe("hello\n");
    session.socket.close();
    expect((await session.ended)[1]).toBe("hello\n");
  });

  it("knows neither this process's environment nor its directory", async () => {
    const channels = await run("env");

    expect(channels[1]?.split("\n").filter((line) => line !== "" && !/^(PATH|HOME=.*playground-)/.test(line))).toEqual(
      [],
    );
  });

  it("keeps a container's files until its pod is gone", async () => {
    await run("touch", "left");
    const [first, where] = [await run("ls"), await run("pwd")];
    await ask(playground, "DELETE /api/v1/namespaces/shop/pods/web-1", { gracePeriodSeconds: 0 });
    await playground.seed([podSeed("web-1")]);

    expect(first[1]).toBe("left\n");
    expect((await run("ls", where[1]?.trim() ?? ""))[2]).toContain("No such file");
  });

  it("answers 127 for a program that is not there and 126 for one that cannot run", async () => {
    const [missing, unfit] = [await run("nope"), await run("/etc/passwd")];

    expect([exitCode(missing[3]), exitCode(unfit[3])]).toEqual(["127", "126"]);
    expect(missing[2]).toContain("executable file not found");
  });

  it("kills the command and its children when the connection drops, and nothing else", async () => {
    const bystander = (await run("sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"))[1]?.trim() ?? "";
    const session = new Session(["sh", "-c", "sleep 301 & echo $!; wait"]);
    const child = await new Promise<string>((resolve) => {
      session.socket.on("message", (data: Buffer) => data.length > 1 && resolve(data.subarray(1).toString().trim()));
    });

    session.socket.terminate();

    await expect
      .poll(async () => JSON.stringify(await run("cat", `/proc/${child}/stat`)), { timeout: 20_000 })
      .toMatch(/No such file|\) Z/);
    const alive = await run("sh", "-c", `kill -0 ${bystander}`);
    expect(JSON.parse(alive[3] ?? "")).toMatchObject({ status: "Success" });
  });

  it("does not wait for what a command left in the background", async () => {
    const channels = await run("sh", "-c", "sleep 300 & echo done");

    expect(channels[1]).toBe("done\n");
  });

  it("needs the permissions to get and to create", async () => {
    await run("true");
    const seen = playground.requests.map(({ verb, resource, subresource }) => `${verb} ${resource}/${subresource}`);
    playground.faults.inject({ when: { verb: "create", subresource: "exec" }, answer: 403 });

    expect(seen).toEqual(["get pods/exec", "create pods/exec"]);
    await expect(run("true")).rejects.toThrow("403");
  });

  it("is refused over plain HTTP, and without the token", async () => {
    const path = "/api/v1/namespaces/shop/pods/web-1/exec?command=true&stdout=true";

    const plain = await ask(playground, `GET ${path}`);
    const stranger = new WebSocket(`${playground.url}${path}`, "v5.channel.k8s.io");
    const code = await new Promise((resolve) => {
      stranger.once("unexpected-response", (_request, response) => resolve(response.statusCode));
    });

    expect(plain).toMatchObject({ code: 400, body: { message: "Upgrade request required" } });
    expect(code).toBe(401);
  });
});
