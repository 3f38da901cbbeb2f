import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { parseJson } from "../../src/events/json.ts";
import { eventOf } from "../../test/support/events.ts";
import { shellCommand, shellScript, tokenName, tokensOf, withTokenValues } from "./tokens.ts";

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

describe("the tokens in a text", () => {
  const tokens = new Map([
    ["FD_NAME", `/tmp/\${RULE} $1 $& $\``],
    ["RULE", "a rule"],
    ["EMPTY", ""],
  ]);

  it.each([
    [`\${FD_NAME}`, `/tmp/\${RULE} $1 $& $\``],
    ["$FD_NAME", `/tmp/\${RULE} $1 $& $\``],
    [`/x/\${RULE}.\${RULE}/$RULE-`, "/x/a rule.a rule/a rule-"],
    [`/x/$lower/\${Mixed}/$/\${}/$1/Foo$Bar.class`, `/x/$lower/\${Mixed}/$/\${}/$1/Foo$Bar.class`],
  ])("%j are replaced once", (text, expected) => {
    const { value, missing } = withTokenValues(text, tokens);

    expect({ value, missing }).toEqual({ value: expected, missing: [] });
  });

  it("that have no value are named as they were written", () => {
    const { missing } = withTokenValues(`\${FD_NAME}/\${EMPTY}/$UNKNOWN/\${__PROTO__}`, tokens);

    expect(missing).toEqual([`\${EMPTY}`, "$UNKNOWN", `\${__PROTO__}`]);
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

  /** What a shell writes that reads the script from a pipe, and its exit code. */
  function runScript(
    script: string,
    tokens: ReadonlyMap<string, string> = new Map(),
    input = shellScript(path, script, tokens),
  ) {
    const [, ...rest] = input.argv;
    const options = {
      cwd: directory,
      env: { PATH: "/usr/bin:/bin", HOME: directory },
      input: input.stdin ?? "",
      encoding: "utf8",
    } as const;
    const { stdout, stderr, status } = spawnSync(path, [...before, ...rest], options);
    return { stdout, stderr, status };
  }

  it.skipIf(!present).each(Object.entries(hostile))("%s arrive as they are in a script, too", (_name, value) => {
    const result = runScript('printf "%s|" "$FD_NAME"\nprintenv FD_NAME', new Map([["FD_NAME", value]]));

    expect(result).toEqual({ stdout: `${value}|${value}\n`, stderr: "", status: 0 });
    expect(readdirSync(directory)).toEqual([]);
  });

  it.skipIf(!present).each([
    ["the exit code of its own", "exit 7\necho not reached", "", 7],
    ["the exit code of its last command", "true\nfalse", "", 1],
    ["a last line without line break", "echo one\necho two", "one\ntwo\n", 0],
    ["a last line that ends in a backslash", "echo a\\", "a\n", 0],
    ["a last line that is a comment", "echo a\n# b", "a\n", 0],
    ["nothing but a comment", "# nothing", "", 0],
    ["a line that names the interpreter", "#!/usr/bin/python3\necho a", "a\n", 0],
    ["backslashes and blanks at line ends", "printf '%s' 'a\\\\n  \n\t b '", "a\\\\n  \n\t b ", 0],
    ["a here-document", 'cat <<"E"\n$x `y`\nE\necho b', "$x `y`\nb\n", 0],
    ["functions, traps and several lines", "f() {\n echo $1\n}\ntrap 'echo bye' EXIT\nf a", "a\nbye\n", 0],
    ["no positional parameters", 'echo "$# $0"', "0 hallux\n", 0],
    ["a brace that closes nothing behind an exit", "echo a; exit 0\n}\n", "a\n", 0],
  ])("a script has %s", (_name, script, stdout, status) => {
    const result = runScript(script);

    expect(result).toMatchObject({ stdout, status });
  });

  it.skipIf(!present)("what a script starts reads nothing of the script", () => {
    const result = runScript('cat\nread -r line || echo "read nothing: $line"\necho end');

    expect(result).toMatchObject({ stdout: "read nothing: \nend\n", status: 0 });
  });

  it.skipIf(!present)("a script finds no variable of ours", () => {
    const names = ["text", "part", "line", "end"].map((name) => `\${hallux_${name}-unset}`);

    const result = runScript(`echo "${names.join(" ")}"`);

    expect(result).toMatchObject({ stdout: "unset unset unset unset\n", stderr: "" });
  });

  it.skipIf(!present)("a script of 1 MB runs whole", () => {
    const lines = Array.from({ length: 25_000 }, (_, index) => `total=$((total + ${index} % 2)) # some more text`);

    const result = runScript(`total=0\n${lines.join("\n")}\necho $total`);

    expect(result).toEqual({ stdout: "12500\n", stderr: "", status: 0 });
  });

  it.skipIf(!present)("of a script that did not arrive whole nothing runs", () => {
    const whole = shellScript(path, "echo one\necho two\n", new Map());
    const half = { ...whole, stdin: whole.stdin?.slice(0, -10) ?? "" };

    const result = runScript("", new Map(), half);

    expect(result).toMatchObject({ stdout: "", status: 125, stderr: expect.stringContaining("did not arrive whole") });
  });

  it.skipIf(!present)("the error of a broken script is told, though the input does not end", async () => {
    const { argv, stdin } = shellScript(path, "echo 'never closed", new Map());
    const child = spawn(path, [...before, ...argv.slice(1)]);
    onTestFinished(() => void child.kill());
    child.stdin.write(stdin ?? "");

    const [code] = await once(child, "exit");

    expect(code).toBe(2);
  });
});
