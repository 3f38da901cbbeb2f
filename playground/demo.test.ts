import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";

const patience = { timeout: 60_000 };

describe("npm run demo", () => {
  it("labels, isolates, terminates and spares, and says so on lines that a terminal holds", patience, async () => {
    const demo = startDemo("--once");

    const [said, complaints, [code]] = await Promise.all([text(demo.stdout), text(demo.stderr), once(demo, "close")]);

    expect({ code, complaints }).toEqual({ code: 0, complaints: "" });
    expect(said).toMatch(/→ success +kubernetes:label: pod labelled/);
    expect(said).toMatch(/→ success +kubernetes:networkpolicy: pod isolated/);
    expect(said).toMatch(/→ success +kubernetes:terminate: pod deleted/);
    expect(said).toMatch(/→ ignored +kubernetes:terminate: the pod belongs to a StatefulSet/);
    expect(said).toMatch(/→ refused +kubernetes:terminate: namespace kube-system is protected/);
    expect(said).toMatch(/- payments +api-\S+ +deleted .*\n(.*\n)*.*\+ payments +api-\S+ +Running/);
    expect(said).toContain("1 of 2 rules apply");
    expect(linesOf(said).filter((line) => line.length > 100)).toEqual([]);
    expect(said).not.toContain("\u001b");
  });

  it("takes another port where 2803 is taken, stays up, and leaves nothing behind at Ctrl-C", patience, async () => {
    await occupy(2803);
    const demo = startDemo();
    const closed = once(demo, "close");
    const said = await saidUntil(demo, /hallux\.log\n/);
    const [, url = ""] = /ready on (\S+) \(port 2803 is taken\)/.exec(said) ?? [];
    const [, directory = ""] = /KUBECONFIG=(\S+)\/kubeconfig/.exec(said) ?? [];
    const answer = await fetch(`${url}/readyz`);

    demo.kill("SIGINT");

    expect(answer.status).toBe(200);
    expect(await closed).toEqual([0, null]);
    await expect(fetch(url)).rejects.toThrow("fetch failed");
    expect(existsSync(directory)).toBe(false);
  });

  it("does not start with an option that it does not know", patience, async () => {
    const demo = startDemo("--twice");

    const [complaints, [code]] = await Promise.all([text(demo.stderr), once(demo, "close")]);

    expect({ code, complaints }).toMatchObject({ code: 2, complaints: expect.stringContaining("usage:") });
  });
});

/** But for those that name a temporary file, which are as long as its name. */
function linesOf(said: string): readonly string[] {
  return said.split("\n").filter((line) => !line.includes(tmpdir()));
}

function startDemo(...options: readonly string[]) {
  const file = fileURLToPath(new URL("demo.ts", import.meta.url));
  const env = { ...process.env, FORCE_COLOR: undefined };
  const demo = spawn(process.execPath, [file, ...options], { env, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void demo.kill());
  return demo;
}

/** Something may listen there already, which does as well. */
async function occupy(port: number): Promise<void> {
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => {
    server.once("error", () => resolve()).listen(port, "127.0.0.1", resolve);
  });
}

async function saidUntil({ stdout }: ChildProcess, end: RegExp): Promise<string> {
  let said = "";
  for await (const chunk of stdout ?? []) {
    said += chunk;
    if (end.test(said)) {
      return said;
    }
  }
  throw new Error(`it ended with: ${said}`);
}
