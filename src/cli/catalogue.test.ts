import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { realCatalogue } from "../../test/support/real-catalogue.ts";
import { sampleCatalogue } from "../../test/support/sample-catalogue.ts";
import type { EntryKind } from "../catalogue/describe.ts";
import { type CatalogueDeps, entriesCommand } from "./catalogue.ts";

describe("actionners list", () => {
  it("is a table that fits a terminal", async () => {
    const { stdout, exitCode } = await run("actionners", "list");

    expect(stdout).toMatchInlineSnapshot(`
      "ID                TARGET  CONTINUES  IDEMPOTENT  DESTRUCTIVE  SUMMARY
      kubernetes:label  pod     yes        yes         no           Set or remove labels
      sample:capture    pod     no         no          yes          Capture what happens in the pod
      "
    `);
    expect(exitCode).toBe(0);
  });

  it("shows one whole, with an example that is a rules file", async () => {
    const { stdout } = await run("actionners", "list", "sample:capture");

    expect(stdout).toMatchInlineSnapshot(`
      "sample:capture: Capture what happens in the pod

      Stops by itself after \`duration\` seconds.

        target       pod (k8s.pod.name, k8s.ns.name)
        output       required
        continues    no
        idempotent   no
        destructive  yes

      Parameters
        duration  integer       = 5      Seconds | at most half a minute (1 to 30)
        verbose   true | false  = false  Capture more (also chatty)

      Undo
        Nothing to take back

      Example: Capture at once
        - rule: Capture at once
          match:
            rules:
              - Terminal shell in container
          actions:
            - action: Capture at once
              actionner: sample:capture
              parameters:
                duration: 1
              output:
                target: local:file
                parameters:
                  destination: /evidence
      "
    `);
  });

  it.each([
    ["json", (text: string): unknown => JSON.parse(text)],
    ["yaml", (text: string): unknown => parse(text)],
  ])("is data as %s", async (format, decode) => {
    const { stdout } = await run("actionners", "list", "--output", format);

    expect(decode(stdout)).toMatchObject([
      {
        id: "kubernetes:label",
        target: "pod (k8s.pod.name, k8s.ns.name)",
        idempotent: true,
        destructive: false,
        permissions: ["patch pods"],
        parameters: [
          { name: "labels", type: "map", required: true, bounds: "not empty" },
          { name: "level", type: "pod | node", required: false, default: "pod" },
        ],
      },
      { id: "sample:capture" },
    ]);
  });

  it("says what was meant instead of an unknown name, and fails", async () => {
    const { stdout, stderr, exitCode } = await run("actionners", "list", "kubernetes:labels");

    expect(stderr).toBe('error: no actionner is called "kubernetes:labels" (did you mean "kubernetes:label"?)\n');
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
  });
});

describe.each<[EntryKind, string]>([
  ["contexts", "k8snode"],
  ["outputs", "local:file"],
  ["notifiers", "webhook"],
])("%s list", (kind, name) => {
  it("lists them", async () => {
    const { stdout, exitCode } = await run(kind, "list");

    expect(stdout).toMatch(new RegExp(`^ID +.*SUMMARY\n(.*\n)*${name} `));
    expect(exitCode).toBe(0);
  });

  it("shows one whole", async () => {
    const { stdout } = await run(kind, "list", name);

    expect(stdout).toMatch(new RegExp(`^${name}: `));
  });

  it("knows what there is where a name is unknown", async () => {
    const { stderr, exitCode } = await run(kind, "list", "entirely-unknown");

    expect(stderr).toMatch(new RegExp(`^error: no ${kind.slice(0, -1)} is called .*\\(known: .*${name}`));
    expect(exitCode).toBe(1);
  });
});

it.each([80, 100])("a table stays within a terminal of %i columns", async (columns) => {
  const { stdout } = await runIn({ columns, catalogue: realCatalogue }, "actionners", "list");

  const widths = stdout.split("\n").map(({ length }) => length);

  expect(Math.max(...widths)).toBeLessThanOrEqual(columns);
  expect(stdout).toContain("kubernetes:label");
});

it("a table is as wide as ever in a terminal that does not say how wide it is", async () => {
  const unsaid = await runIn({ columns: 0, catalogue: realCatalogue }, "actionners", "list");

  const usual = await runIn({ catalogue: realCatalogue }, "actionners", "list");

  expect(unsaid.stdout).toBe(usual.stdout);
});

async function run(kind: EntryKind, ...args: readonly string[]) {
  return runIn({ catalogue: sampleCatalogue() }, kind, ...args);
}

async function runIn(deps: Pick<CatalogueDeps, "catalogue" | "columns">, kind: EntryKind, ...args: readonly string[]) {
  const said = { stdout: "", stderr: "", exitCode: 0 };
  const command = entriesCommand(kind, {
    ...deps,
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
  await command.parseAsync([...args], { from: "user" });
  return said;
}
