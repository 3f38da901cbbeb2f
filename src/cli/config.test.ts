import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { sampleCatalogue } from "../../test/support/sample-catalogue.ts";
import { configCommand } from "./config.ts";

describe("config print", () => {
  const yaml = [
    "listen_port: '2804'",
    "deduplication: {leader_election: true}",
    "auth: {bearer_token: hush}",
    "notifiers: {webhook: {url: 'https://example.org', custom_headers: {a: b}, token: hush}}",
  ].join("\n");

  it("shows every setting and who gave it, secrets masked", async () => {
    const { stdout, exitCode } = await run({ yaml, env: { LOG_FORMAT: "json", RULES_FILES: "a.yaml b.yaml" } });

    expect(stdout.split("\n")).toEqual(
      expect.arrayContaining([
        "# deduplication.leader_election has no effect: Hallux needs no leader",
        "# Hallux runs in no cluster",
        "listen_port: 2804 # file",
        "log_format: json # environment",
        "rules_files: [a.yaml, b.yaml] # environment",
        "concurrency: 256 # default",
        '  bearer_token: "[secret]" # file',
        "    custom_headers: {a: b} # file",
        "    http_method: POST # default",
      ]),
    );
    expect(stdout).not.toContain("hush");
    expect(exitCode).toBe(0);
  });

  it("prints a file that loads to the same", async () => {
    const { stdout } = await run({ yaml: "listen_port: 2804\nnotifiers: {webhook: {url: 'https://example.org'}}\n" });

    const again = await run({ yaml: stdout });

    expect(again.stderr).toBe("");
    expect(parse(again.stdout)).toEqual(parse(stdout));
  });

  it.each(["yaml", "json"])("masks who logs in by a URL, as %s", async (format) => {
    const servers = "['nats://u:hush@a:4222', 'NATS://hush@b', 'u:hu/sh@c:4222', 'tls://d:4222']";

    const { stdout } = await run({ yaml: `ledger: {nats: {servers: ${servers}}}` }, "--output", format);

    expect(stdout).not.toMatch(/hu\/?sh/);
    expect(parse(stdout).ledger.nats.servers).toEqual([
      "nats://[secret]@a:4222",
      "NATS://[secret]@b",
      "[secret]@c:4222",
      "tls://d:4222",
    ]);
  });

  it("prints JSON", async () => {
    const { stdout } = await run({ yaml }, "--output", "json");

    expect(JSON.parse(stdout)).toMatchObject({ listen_port: 2804, auth: { bearer_token: "[secret]" } });
    expect(stdout).not.toContain("hush");
  });

  it("tells the Problems instead, and fails", async () => {
    const { stdout, stderr, exitCode } = await run({ yaml: "listen_prot: 1\nconcurrency: 0\n" });

    expect(stderr).toBe(
      'config.yaml:1:1: error: unknown key "listen_prot" (did you mean "listen_port"?)\n' +
        'config.yaml:2:14: error: "concurrency" must be at least 1, not 0\n',
    );
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
  });
});

async function run(
  { yaml, env = {} }: { readonly yaml: string; readonly env?: Readonly<Record<string, string>> },
  ...args: readonly string[]
) {
  const said = { stdout: "", stderr: "", exitCode: 0 };
  const command = configCommand({
    catalogue: sampleCatalogue(),
    env,
    readFile: (path) => {
      if (path !== "config.yaml") {
        throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      }
      return yaml;
    },
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
  await command.parseAsync(["print", "-c", "config.yaml", ...args], { from: "user" });
  return said;
}
