import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { eventually } from "../../../test/support/cluster.ts";
import { credentialPlugin, tokenFile } from "./credentials.ts";

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "hallux-"));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

function setting(timeoutMs: number, folder = ".") {
  return { directory: folder, environment: { PATH: process.env["PATH"] }, cluster: () => null, timeoutMs };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("a credential plugin", () => {
  it("that hangs is killed, and who waits for it is told", async () => {
    const pidFile = join(await directory(), "pid");
    const plugin = credentialPlugin(
      { command: "sh", args: ["-c", 'echo $$ >"$0"; exec sleep 1000', pidFile] },
      setting(500),
    );

    // On a machine that stands still it may be killed before it says who it is.
    const pid = await vi.waitFor(async () => {
      await expect(plugin.current()).rejects.toThrow("did not end in time");
      expect(await readFile(pidFile, "utf8")).toMatch(/^\d+\n$/);
      return Number(await readFile(pidFile, "utf8"));
    }, 20_000);

    await eventually(async () => !isAlive(pid));
  });

  it("whose own children keep its output open holds nobody up", async () => {
    const plugin = credentialPlugin({ command: "sh", args: ["-c", "sleep 60 & wait"] }, setting(300));

    await expect(plugin.current()).rejects.toThrow("did not end in time");
  });

  it("is looked for beside the kubeconfig where its command has a slash", async () => {
    const folder = await directory();
    const credential = JSON.stringify({ status: { token: "t" } });
    await writeFile(join(folder, "plugin"), `#!/bin/sh\necho '${credential}'\n`, { mode: 0o755 });

    const given = await credentialPlugin({ command: "./plugin" }, setting(20_000, folder)).current();

    expect(given.token).toBe("t");
  });

  it("gives certificates, and is asked again once they have expired", async () => {
    const runs = join(await directory(), "runs");
    const status = { clientCertificateData: "cert", clientKeyData: "key", expirationTimestamp: "2026-01-01T00:00:00Z" };
    const script = `require("fs").appendFileSync(${JSON.stringify(runs)}, "x"); console.log(process.argv[1])`;
    const args = ["-e", script, JSON.stringify({ status })];
    const plugin = credentialPlugin({ command: process.execPath, args }, setting(20_000));

    const given = [await plugin.current(), await plugin.current()];

    expect(given).toEqual([
      { token: undefined, cert: "cert", key: "key" },
      { token: undefined, cert: "cert", key: "key" },
    ]);
    expect(await readFile(runs, "utf8")).toBe("xx");
  });
});

describe("a token file", () => {
  it("is read again each minute, and when its token was rejected", async () => {
    const path = join(await directory(), "token");
    let now = 0;
    const source = tokenFile(path, () => now);
    const tokens: (string | undefined)[] = [];
    const read = async () => tokens.push((await source.current()).token);

    await writeFile(path, "first\n");
    await read();
    await writeFile(path, "second\n");
    await read();
    now = 60_000;
    await read();
    await writeFile(path, "third\n");
    source.forget("first");
    await read();
    source.forget("second");
    await read();

    expect(tokens).toEqual(["first", "first", "second", "second", "third"]);
  });
});
