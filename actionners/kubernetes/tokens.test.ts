import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseJson } from "../../src/events/json.ts";
import { eventOf } from "../../test/support/events.ts";
import { shellCommand, tokenName, tokensOf } from "./tokens.ts";

const run = promisify(execFile);

const shells = [
  { name: "dash", path: "/bin/dash", before: [] },
  { name: "bash", path: "/bin/bash", before: [] },
  { name: "busybox ash", path: "/bin/busybox", before: ["sh"] },
];

const hostile = {
  "a command substitution": "/tmp/$(touch pwned);x",
  backticks: "`touch pwned`",
  quotes: `'"'; touch pwned; '"`,
  "the end of a string": "'; rm -rf * ; touch pwned '",
  "line breaks": "a\n\ntouch pwned\n\n",
  "an option": "-n",
  "more options": "--help",
  globs: "* ? [a-z] ~ {a,b}",
  expansions: `$IFS \${PATH} $0 $1 $@ $((1+1)) \\ \\n %s !! "$x"`,
  "control characters": "\u0001\u001b[2J\r\t\u007f",
  unicode: "é漢🦅\u202e",
  nothing: "",
  blanks: "   ",
  "100 kB": "$(touch pwned) ".repeat(7_000),
};

describe("the name of a token", () => {
  it.each([
    ["fd.name", "FD_NAME"],
    ["proc.args[0]", "PROC_ARGS_0"],
    ["proc.aname[2]", "PROC_ANAME_2"],
    ["k8s.pod.label[app.kubernetes.io/name]", "K8S_POD_LABEL_APP_KUBERNETES_IO_NAME"],
    ["ka.req.pod.containers-image", "KA_REQ_POD_CONTAINERS_IMAGE"],
    ["aws.instance_profile_arn", "AWS_INSTANCE_PROFILE_ARN"],
    ["9p.path", "_9P_PATH"],
    ["a=b;c $d", "A_B_C__D"],
  ])("of %s is %s", (field, expected) => {
    const name = tokenName(field);

    expect(name).toBe(expected);
  });
});

describe("a token inside single quotes", () => {
  it("is not replaced, as the shell's own rules have it", async () => {
    const tokens = tokensOf(eventOf({ fields: { "fd.name": "/etc/shadow" } }), {});
    const { argv } = shellCommand("/bin/sh", `printf %s '\${FD_NAME}' "\${FD_NAME}"`, tokens);
    const [program = "", ...args] = argv;

    const { stdout } = await run(program, args);

    expect(stdout).toBe("$" + "{FD_NAME}/etc/shadow");
  });
});

describe("the tokens of an event", () => {
  it("are its fields, what Hallux knows of it, and the facts", () => {
    const event = eventOf({
      rule: "R",
      priority: "Critical",
      source: "syscall",
      hostname: "node-1",
      tags: ["a", "b"],
      fields: {
        "fd.name": "/etc/shadow",
        "evt.time": parseJson("1763689041886038257"),
        "proc.tty": 0,
        "x.y": true,
        "n.n": null,
        "fd.sip": "<NA>",
      },
    });

    const tokens = tokensOf(event, { "node.hostname": "n1" });

    expect(Object.fromEntries(tokens)).toEqual({
      FD_NAME: "/etc/shadow",
      EVT_TIME: "1763689041886038257",
      PROC_TTY: "0",
      X_Y: "true",
      N_N: "",
      FD_SIP: "",
      PRIORITY: "Critical",
      HOSTNAME: "node-1",
      RULE: "R",
      SOURCE: "syscall",
      TAGS: "a,b",
      NODE_HOSTNAME: "n1",
    });
  });

  it("are never a variable that decides what runs", () => {
    const names = [
      "path",
      "ifs",
      "env",
      "home",
      "shell",
      "ps4",
      "ld.preload",
      "LD_LIBRARY_PATH",
      "bash.env",
      "BASH_FUNC_x",
      "https_proxy",
      "_",
      "ppid",
      "uid",
      "python.path",
    ];
    const event = eventOf({ fields: Object.fromEntries(names.map((name) => [name, "evil"])) });

    const tokens = tokensOf(event, {});

    expect([...tokens.values()]).not.toContain("evil");
  });

  it("are Hallux's own where a field takes the same name", () => {
    const event = eventOf({ rule: "true rule", fields: { rule: "forged", "node.hostname": "forged" } });

    const tokens = tokensOf(event, { "node.hostname": "n1" });

    expect(tokens.get("RULE")).toBe("true rule");
    expect(tokens.get("NODE_HOSTNAME")).toBe("n1");
  });
});

describe("the command line", () => {
  it("is the command alone where it mentions no token", () => {
    const { argv } = shellCommand("/bin/sh", "id", new Map([["FD_NAME", "x"]]));

    expect(argv).toEqual(["/bin/sh", "-c", "id", "hallux"]);
  });

  it("carries only the tokens that the command mentions", () => {
    const tokens = new Map([
      ["FD_NAME", "a"],
      ["FD_NAMES", "b"],
      ["PROC_PID", "c"],
    ]);

    const { argv } = shellCommand("/bin/sh", "kill $" + "{PROC_PID} $FD_NAMES", tokens);

    expect(argv.slice(3)).toEqual(["hallux", "b", "c"]);
  });

  it("cuts what no argument can hold, and says so", () => {
    const tokens = new Map([
      ["A_A", "é".repeat(100_000)],
      ["B_B", "x".repeat(100_000)],
      ["C_C", "y".repeat(100_000)],
    ]);

    const { argv, cut } = shellCommand("/bin/sh", "A_A B_B C_C", tokens);

    const sizes = argv.slice(4).map((value) => Buffer.byteLength(value));
    expect(sizes).toEqual([122_880, 100_000, 39_264]);
    expect(argv[4]).toBe("é".repeat(61_440));
    expect(cut).toEqual(["A_A", "C_C"]);
  });

  it("holds no NUL and no broken character", () => {
    const { argv, cut } = shellCommand("/bin/sh", "A_A", new Map([["A_A", "a\0b\ud800c"]]));

    expect(argv[4]).toBe("ab\ufffdc");
    expect(cut).toEqual([]);
  });
});

describe.each(shells)("in $name, where this machine has it", ({ path, before }) => {
  const present = existsSync(path);
  let directory = "";

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "hallux-tokens-"));
  });
  afterAll(async () => {
    await rm(directory, { recursive: true });
  });

  async function outputOf(command: string, tokens: ReadonlyMap<string, string>): Promise<string> {
    const [, ...rest] = shellCommand(path, command, tokens).argv;
    const options = { cwd: directory, env: { PATH: "/usr/bin:/bin" }, maxBuffer: 1e6 };
    const { stdout } = await run(path, [...before, ...rest], options);
    return stdout;
  }

  it.skipIf(!present).each(Object.entries(hostile))("%s arrive as they are", async (_name, value) => {
    const output = await outputOf('printf "%s|" "$FD_NAME"; printenv FD_NAME', new Map([["FD_NAME", value]]));

    expect(output).toBe(`${value}|${value}\n`);
    expect(await readdir(directory)).toEqual([]);
  });

  it.skipIf(!present)("any text arrives as it is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (value) => {
        const output = await outputOf('printf "%s" "$FD_NAME"', new Map([["FD_NAME", value]]));

        expect(output).toBe(value.replaceAll("\0", ""));
      }),
      { numRuns: 40 },
    );
  });

  it.skipIf(!present)("more than nine tokens arrive, and the command has no positional parameters", async () => {
    const names = Array.from({ length: 12 }, (_, index) => `TOKEN_${index}_X`);
    const tokens = new Map(names.map((name) => [name, name.toLowerCase()]));

    const output = await outputOf(`echo ${names.map((name) => `$${name}`).join(" ")} "$#:$*" "$0"`, tokens);

    expect(output).toBe(`${names.join(" ").toLowerCase()} 0: hallux\n`);
  });

  it.skipIf(!present)("the command's own variables stay its own", async () => {
    const output = await outputOf(
      'file=$FD_NAME; set -- a b; echo "$file $1$2 $UNKNOWN_X."',
      new Map([["FD_NAME", "x"]]),
    );

    expect(output).toBe("x ab .\n");
  });

  it.skipIf(!present)("a missing token stops a command that asks for that", async () => {
    const output = outputOf(`echo "\${FD_NAME:?}"; echo reached`, new Map());

    await expect(output).rejects.toThrow("FD_NAME");
  });
});
