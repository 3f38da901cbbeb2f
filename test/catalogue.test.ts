import { existsSync, globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { Actionner, PolicyRule } from "../src/catalogue/catalogue.ts";
import { describeEntries } from "../src/catalogue/describe.ts";
import { rulesSchema } from "../src/rules/schema.ts";
import type { Field, Fields } from "../src/schema/field.ts";
import { compileFields, formats } from "../src/schema/read.ts";
import { realCatalogue } from "./support/real-catalogue.ts";

const actionners = [...realCatalogue.actionners.values()];
const contexts = [...realCatalogue.contexts.values()];
const outputs = [...realCatalogue.outputs.values()];
const notifiers = [...realCatalogue.notifiers.values()];

const entries = [
  ...actionners.map((entry) => ({ folder: "actionners", entry, fields: entry.params })),
  ...contexts.map((entry) => ({ folder: "contexts", entry, fields: {} })),
  ...outputs.map((entry) => ({ folder: "outputs", entry, fields: entry.params })),
  ...notifiers.map((entry) => ({ folder: "notifiers", entry, fields: entry.settings })),
].map((one) => ({ ...one, id: one.entry.id, name: `${one.folder}/${one.entry.id.replace(":", "/")}` }));

/** `bar`, `bar:baz`, by what the folder holds. */
const idForms: Readonly<Record<string, RegExp>> = {
  actionners: /^[a-z0-9]+:[a-z0-9]+$/,
  outputs: /^[a-z0-9]+:[a-z0-9]+$/,
  contexts: /^[a-z0-9]+$/,
  notifiers: /^[a-z0-9]+$/,
};

const clusterSuites = globSync("cluster/*.test.ts", { cwd: fileURLToPath(new URL(".", import.meta.url)) }).map((path) =>
  readFileSync(new URL(path, import.meta.url), "utf8"),
);

/** Verbs that change what is there; exec is a GET to some clients. */
const changing = ["create", "update", "patch", "delete", "deletecollection"];

function isSentence(text: string): boolean {
  return /^[A-Z`]/.test(text) && !/[.!?;:\s]$/.test(text) && !/[.!?] [A-Z]/.test(text) && !text.includes("\n");
}

function verbsOf(rbac: readonly PolicyRule[]): string[] {
  return rbac.flatMap(({ verbs }) => verbs);
}

function namesOf(fields: Fields): string[] {
  return Object.entries(fields).flatMap(([name, { aliases }]) => [name, ...aliases]);
}

describe.each(entries)("$folder: $id", ({ folder, entry, fields, name }) => {
  it("stands in the file that its id names", () => {
    expect(existsSync(new URL(`../${name}.ts`, import.meta.url))).toBe(true);
  });

  it("has a well-formed id", () => {
    expect(entry.id).toMatch(idForms[folder] as RegExp);
  });

  it("is summed up in one sentence without a final stop", () => {
    expect(entry.summary).toSatisfy(isSentence);
    expect(entry.summary.length).toBeLessThanOrEqual(100);
  });

  it("declares permissions where it uses Kubernetes, and only there", () => {
    expect(entry.rbac.length > 0).toBe(entry.uses.includes("kubernetes"));
  });

  it("declares each permission once, by name", () => {
    const permissions = entry.rbac.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
      ),
    );

    expect(permissions).toEqual([...new Set(permissions)]);
    expect(permissions.filter((permission) => permission.includes("*"))).toEqual([]);
  });

  it("has a cluster suite that holds what it declares against what it uses", () => {
    const suites = clusterSuites.filter(
      (text) => text.includes(`/${name}.ts"`) && /permissions\s*\.unused\(/.test(text),
    );

    expect(suites.length > 0).toBe(entry.rbac.length > 0);
  });

  it("sums up each of its fields in one sentence", () => {
    const summaries = Object.values<Field>(fields).map(({ summary }) => summary);

    expect(summaries.filter((summary) => !isSentence(summary))).toEqual([]);
  });

  it("gives each of its fields names of its own, as users write them", () => {
    const names = namesOf(fields);

    expect(names).toEqual([...new Set(names)]);
    expect(names.filter((one) => !/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(one))).toEqual([]);
  });

  it("has no field that is both required and has a default", () => {
    const fieldsWithBoth = Object.values<Field>(fields).filter(
      (field) => field.required && field.default !== undefined,
    );

    expect(fieldsWithBoth).toEqual([]);
  });

  it("has defaults that its own fields accept", () => {
    const optional = Object.fromEntries(Object.entries<Field>(fields).filter(([, { required }]) => !required));

    const { problems } = compileFields(optional).read(defaultsOf(optional));

    expect(problems).toEqual([]);
  });
});

function defaultsOf(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, field]) => (field.default === undefined ? [] : [[name, field.default]])),
  );
}

describe.each(actionners)("$id", (actionner: Actionner) => {
  it("has examples, and takes each of them", () => {
    const { params, examples, check } = actionner;

    const readings = examples.map(({ parameters }) => compileFields(params).read(parameters));

    expect(readings.length).toBeGreaterThan(0);
    expect(readings.flatMap(({ problems }) => problems)).toEqual([]);
    expect(readings.flatMap(({ values }) => (values === undefined ? [] : (check?.(values) ?? [])))).toEqual([]);
  });

  it("shows each of its required parameters, and gives its examples titles", () => {
    const required = Object.keys(actionner.params).filter((name) => actionner.params[name]?.required);

    for (const { title, parameters } of actionner.examples) {
      expect(title).toSatisfy(isSentence);
      expect(Object.keys(parameters)).toEqual(expect.arrayContaining(required));
    }
  });

  it("needs nothing of an event but fields, by their names", () => {
    const names = (actionner.needs ?? []).flatMap((need) => need.split(" or "));

    expect(names.filter((one) => !/^[a-z0-9]+(\.[a-z0-9]+)+$/.test(one))).toEqual([]);
  });

  it("says how it is undone", () => {
    expect(actionner.undo.trim()).not.toBe("");
  });

  it("may change something where it is destructive", () => {
    const changes = verbsOf(actionner.rbac).some((verb) => changing.includes(verb));

    expect(actionner.destructive && !changes).toBe(false);
  });

  it("is destructive where it may delete", () => {
    expect(verbsOf(actionner.rbac).includes("delete") && !actionner.destructive).toBe(false);
  });

  it("runs only a few times at once where it stores an artifact: each holds a part of it", () => {
    const { output, concurrency = Number.POSITIVE_INFINITY } = actionner;

    expect(output !== "none" && concurrency > 8).toBe(false);
  });

  it("uses no client where it works on nothing in the cluster", () => {
    expect(actionner.target === "none" && actionner.uses.includes("kubernetes")).toBe(false);
  });
});

describe.each(outputs)("$id", ({ params, examples, check }) => {
  it("has examples, and takes each of them", () => {
    const readings = examples.map(({ parameters }) => compileFields(params).read(parameters));

    expect(readings.length).toBeGreaterThan(0);
    expect(readings.flatMap(({ problems }) => problems)).toEqual([]);
    expect(readings.flatMap(({ values }) => (values === undefined ? [] : (check?.(values) ?? [])))).toEqual([]);
  });
});

describe.each(contexts)("$id", ({ elements, rbac }) => {
  it("names its elements as fields are named, each once", () => {
    expect(elements.length).toBeGreaterThan(0);
    expect(elements).toEqual([...new Set(elements)]);
    expect(elements.filter((element) => !/^[a-z]+(\.[a-z_]+)+$/.test(element))).toEqual([]);
  });

  it("only reads", () => {
    expect(verbsOf(rbac).filter((verb) => changing.includes(verb))).toEqual([]);
  });
});

describe("the catalogue", () => {
  it("gives no two contexts an element of the same name", () => {
    const elements = contexts.flatMap((context) => context.elements);

    expect(elements).toEqual([...new Set(elements)]);
  });

  it("uses an alias nowhere as the name of another parameter", () => {
    const aliases = new Set(
      entries.flatMap(({ fields }) => Object.values<Field>(fields).flatMap((field) => field.aliases)),
    );
    const names = entries.flatMap(({ fields }) => Object.keys(fields));

    expect(names.filter((name) => aliases.has(name))).toEqual([]);
  });
});

describe("the schema of rules files, for editors", () => {
  const accepts = new Ajv({
    ...{ strict: true, strictTypes: false, strictRequired: false },
    formats,
  }).compile(rulesSchema(realCatalogue));
  const examples = (["actionners", "outputs"] as const).flatMap((kind) =>
    describeEntries(kind, realCatalogue).flatMap(({ id, examples: all }) => all.map((one) => ({ id, ...one }))),
  );

  it.each(examples)("accepts the example: $id, $title", ({ rule }) => {
    expect(accepts(parse(rule)), JSON.stringify(accepts.errors)).toBe(true);
  });

  it.each(actionners)("knows the parameters of $id, and no others", ({ id, params }) => {
    const rules = (parameters: object) => [
      { rule: "x", match: {}, actions: [{ action: "x", actionner: id, parameters: { ...parameters, no_such: 1 } }] },
    ];

    accepts(rules({}));

    expect(accepts.errors?.map(({ keyword }) => keyword)).toContain("additionalProperties");
    for (const name of namesOf(params)) {
      accepts(rules({ [name]: {} }));
      expect(accepts.errors?.filter(({ params: { additionalProperty } }) => additionalProperty === name)).toEqual([]);
    }
  });
});
