import { describe, expect, it } from "vitest";
import { describeProblem } from "./problem.ts";
import { atOnce } from "./steps.ts";
import { problemAt, readYaml, readYamlList, type YamlDocument } from "./yaml.ts";

describe("reading YAML", () => {
  it("gives plain data", () => {
    const document = documentOf("a: 1\nb: [true, null, x]\n");

    expect(document.value).toEqual({ a: 1, b: [true, null, "x"] });
  });

  it("keeps a number whose digits JavaScript would change as its text", () => {
    const document = documentOf("[1763689041886038257, 1.10, 007, 0x10, 1e3, 5, -2, 0.5]");

    expect(document.value).toEqual(["1763689041886038257", "1.10", "007", "0x10", "1e3", 5, -2, 0.5]);
  });

  it("merges maps with <<, the map's own keys first", () => {
    const document = documentOf("- &base { a: 1, b: 2 }\n- { <<: *base, b: 3 }\n");

    expect(document.value).toEqual([
      { a: 1, b: 2 },
      { a: 1, b: 3 },
    ]);
  });

  it("takes an empty text for null", () => {
    expect(documentOf("# nothing\n").value).toBeNull();
  });

  it("keeps a key named __proto__ as plain data", () => {
    const { value } = documentOf("__proto__: { polluted: true }");

    expect(Object.keys(value as object)).toEqual(["__proto__"]);
    expect((value as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it("takes one anchor used many times", () => {
    const document = documentOf(`- &a { x: 1 }\n${"- *a\n".repeat(5000)}`);

    expect(document.value).toHaveLength(5001);
  });
});

describe("text that is not one YAML document", () => {
  it.each([
    ["a key given twice", "a: 1\nb: 2\na: 3\n", '3:1: error: key "a" is given twice'],
    [
      "a second document",
      "a: 1\n---\nb: 2\n",
      "2:1: error: a second YAML document begins here (put everything into one",
    ],
    ["an alias without anchor", "a: *b\n", "1:4: error: no anchor of this name stands before the alias"],
    ["an alias inside its own anchor", "a: &b [*b]\n", "1:8: error: this alias stands inside its own anchor &b"],
    ["an unknown tag", "a: !env HOME\n", "1:4: error: not valid YAML: unknown tag (a text"],
    ["a tab as indentation", "a:\n\tb: 1\n", "2:1: error: not valid YAML: a tab stands in the indentation (indent"],
    [
      "tabs where the parser takes a key for a text",
      "- a: b\n\tc:\n\t\td: 1\n",
      "2:2: error: not valid YAML: a tab stands",
    ],
    ["endless nesting", "[".repeat(100_000), "error: nested too deeply"],
  ])("is a Problem: %s", (_name, text, expected) => {
    const { problems } = readYaml("x.yaml", text);

    expect(problems.map(describeProblem)[0]).toContain(expected);
  });

  it.each([
    "password: !hunter2\n",
    "password: !e!hunter2\n",
    "password: *hunter2\n",
    "password: |hunter2\n",
    "password: >hunter2\n",
    'password: "\\Uhunter22"\n',
    "password: }\nhunter2: x\n",
    "%hunter2\n---\na: 1\n",
  ])("is a Problem that does not tell what may be a secret: %j", (text) => {
    const { problems } = readYaml("x.yaml", text);

    const told = problems.map(describeProblem);
    expect(told.length).toBeGreaterThan(0);
    expect(told.join("\n")).not.toMatch(/hun/);
  });

  it("tells the faults of several lines, one for each line", () => {
    const { problems } = readYaml("x.yaml", "a: 1\na: 2\nb: !x !y 3\na: 4\n");

    expect(problems.map(({ line }) => line)).toEqual([2, 3, 4]);
  });

  it("is a Problem without a place where it is too large", () => {
    const { problems } = readYaml("x.yaml", `a: ${"x".repeat(4 * 1024 * 1024)}`);

    expect(problems.map(describeProblem)).toEqual([
      "x.yaml: error: the file is 4194307 bytes long; at most 4194304 are read",
    ]);
  });

  it("is a Problem where aliases multiply", () => {
    const layers = Array.from({ length: 12 }, (_, n) => `l${n + 1}: &l${n + 1} [${`*l${n}, `.repeat(9)}]`);

    const { problems } = readYaml("x.yaml", ["l0: &l0 x", ...layers].join("\n"));

    expect(problems.map(describeProblem)).toEqual(["x.yaml: error: its aliases (*name) multiply without end"]);
  });
});

describe("reading a long list in parts", () => {
  const item = (n: number) => `- name: item ${n}\n  text: "${"x".repeat(200)}"\n`;
  const items = Array.from({ length: 500 }, (_, n) => item(n)).join("");

  function partsOf(text: string) {
    const { documents, problems } = atOnce(readYamlList("x.yaml", text));
    return { problems: problems.map(describeProblem), documents };
  }

  /** In one piece: the same, and as many problems. */
  function wholeOf(text: string) {
    const { document, problems } = readYaml("x.yaml", text);
    return { problems: problems.map(describeProblem), value: document?.value };
  }

  it.each([
    ["as it is", items],
    ["with a comment and a document's start before it", `# why\n\n---\n${items}`],
    ["with Windows' ends of lines", items.replaceAll("\n", "\r\n")],
    ["with comments and text blocks in between", items.replaceAll("- name", "# - no item\n\n- |\n  - no item\n- name")],
  ])("gives what the whole gives: %s", (_, text) => {
    const { documents } = partsOf(text);

    expect(documents.length).toBeGreaterThan(5);
    expect(documents.flatMap(({ value }) => value)).toEqual(wholeOf(text).value);
  });

  it.each([
    ["an alias of an anchor far above", `- &a { x: 1 }\n${items}- *a\n`],
    ["a map of lists", `first:\n${items}second:\n- a\n`],
    ["a text with items in it", `--- |\n${items}`],
    ["a quoted text with items in it", `- "a\n${items}"\n`],
    ["a second document", `${items}---\n${items}`],
    ["a document's end", `- ${"x".repeat(20_000)}\n...\n${items}`],
    ["a directive", `%YAML 1.1\n---\n${items}- yes\n`],
    ["a fault at its end", `${items}- a: 1\n  a: 2\n`],
    ["an item in one line after another", `[a,\n- b]\n${items}`],
    ["nothing but items in a map", `- a\n${items}b: c\n`],
  ])("reads it in one piece where it has to: %s", (_, text) => {
    const { documents, problems } = partsOf(text);

    expect(problems).toEqual(wholeOf(text).problems);
    expect(documents.map(({ value }) => value)).toEqual(problems.length === 0 ? [wholeOf(text).value] : []);
  });

  it("counts lines from the top of the file", () => {
    const { documents } = partsOf(`# why\n${items}`);

    const last = documents.at(-1);
    const found = Array.isArray(last?.value) ? last.value : [];
    expect(last?.locate([found.length - 1, "text"])).toMatchObject({ line: 1001, column: 9 });
  });
});

describe("locating", () => {
  const document = documentOf("base: &base\n  deep: { x: long }\nitems:\n  - name: one\n    empty:\n  - <<: *base\n");

  it.each([
    [["items", 0, "name"], "value", { line: 4, column: 11, text: "one" }],
    [["items", 0, "name"], "key", { line: 4, column: 5, text: "name" }],
    [["items", 0, "empty"], "value", { line: 5, column: 5, text: "empty" }],
    [["items", 0, "absent", "deeper"], "value", { line: 4, column: 5, text: "name: one" }],
    [["items", 1, "deep", "x"], "value", { line: 2, column: 14, text: "long" }],
    [["items", 7], "value", { line: 4, column: 3, text: "- name: one" }],
    [[], "value", { line: 1, column: 1, text: "base: &base" }],
  ] as const)("finds %j, its %s", (path, at, expected) => {
    expect(document.locate(path, at)).toEqual(expected);
  });

  it("shortens what stands there", () => {
    const long = documentOf(`a: ${"x".repeat(200)}`);

    expect(long.locate(["a"]).text).toBe(`${"x".repeat(80)}…`);
  });

  it("makes a Problem", () => {
    const problem = problemAt(document, ["items", 0, "name"], { message: "no", hint: "yes", at: "key" });

    expect(problem).toEqual({ file: "x.yaml", line: 4, column: 5, text: "name", message: "no", hint: "yes" });
  });
});

function documentOf(text: string): YamlDocument {
  const { document, problems } = readYaml("x.yaml", text);
  expect(problems).toEqual([]);
  return document as YamlDocument;
}
