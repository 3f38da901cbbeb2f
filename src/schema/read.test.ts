import { Ajv } from "ajv";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { choice, type Fields, flag, integer, secret, text, textList, textMap } from "./field.ts";
import { compileFields, isCidr, jsonSchemaOf } from "./read.ts";
import { Secret } from "./secret.ts";

const fields = {
  name: text("Name", { required: true, minLength: 1, aliases: ["title"] }),
  url: text("URL", { format: "uri" }),
  grace_period_seconds: integer("Seconds", { default: 5, minimum: 0, maximum: 60 }),
  force: flag("Force", { default: false }),
  level: choice("Level", ["pod", "node"], { default: "pod" }),
  allow_cidr: textList("Ranges", { default: [], items: { format: "cidr" }, aliases: ["allow"] }),
  labels: textMap("Labels", { minProperties: 1, aliases: ["tags"] }),
  password: secret("Password"),
};
const reader = compileFields(fields);

describe("reading values", () => {
  it("fills in the defaults", () => {
    expect(reader.read({ name: "x" }).values).toEqual({
      name: "x",
      grace_period_seconds: 5,
      force: false,
      level: "pod",
      allow_cidr: [],
    });
  });

  it("takes the spellings that are likely", () => {
    const raw = { name: 5, grace_period_seconds: "7", force: "TRUE", labels: { a: true, b: null, c: 1 } };

    expect(reader.read(raw).values).toMatchObject({
      name: "5",
      grace_period_seconds: 7,
      force: true,
      labels: { a: "true", b: "", c: "1" },
    });
  });

  it("takes null for not given", () => {
    expect(reader.read({ name: "x", level: null, labels: null }).values).toMatchObject({ level: "pod" });
    expect(compileFields({ a: text("A") }).read(null).values).toEqual({});
  });

  it("changes nothing in what it is given", () => {
    const raw = Object.freeze({ name: "x", allow: Object.freeze(["10.0.0.0/8"]) });

    const first = reader.read(raw).values;
    const second = reader.read({ name: "y" }).values;

    expect(first?.allow_cidr).toEqual(["10.0.0.0/8"]);
    expect(second?.allow_cidr).toEqual([]);
    expect(Object.keys(raw)).toEqual(["name", "allow"]);
  });

  it("joins lists and maps given under two names, and has the main name's entry win", () => {
    const raw = {
      title: "x",
      allow: ["10.0.0.0/8"],
      allow_cidr: ["::/0"],
      tags: { a: "old", b: "old" },
      labels: { a: "new" },
    };

    expect(reader.read(raw).values).toMatchObject({
      name: "x",
      allow_cidr: ["::/0", "10.0.0.0/8"],
      labels: { a: "new", b: "old" },
    });
  });

  it("reads a secret into a Secret", () => {
    const password = reader.read({ name: "x", password: 12345 }).values?.password;

    expect(password).toBeInstanceOf(Secret);
    expect(password?.reveal()).toBe("12345");
  });
});

describe("what is wrong with values", () => {
  it.each([
    [{ name: "x", grace_period_seconds: "abc" }, '"grace_period_seconds" must be an integer, not "abc"'],
    [{ name: "x", grace_period_seconds: 1.5 }, '"grace_period_seconds" must be an integer, not 1.5'],
    [{ name: "x", grace_period_seconds: -1 }, '"grace_period_seconds" must be at least 0, not -1'],
    [{ name: "x", grace_period_seconds: 61 }, '"grace_period_seconds" must be at most 60, not 61'],
    [{ name: "x", force: "yes" }, '"force" must be true or false, not "yes"'],
    [{ name: "x", level: "nodes" }, '"level" must be one of pod, node, not "nodes"'],
    [{ name: "x", level: [] }, '"level" must be one of pod, node, not an empty list'],
    [{ name: "x", allow_cidr: "10.0.0.0/8" }, '"allow_cidr" must be a list, not "10.0.0.0/8"'],
    [{ name: "x", allow_cidr: [null] }, '"allow_cidr[0]" must be a text, not null'],
    [{ name: "x", allow: ["10.0.0.1"] }, '"allow[0]" must be an IP range such as 10.0.0.0/8, not "10.0.0.1"'],
    [{ name: "x", labels: { "a/b": ["c"] } }, '"labels.a/b" must be a text, not a list'],
    [{ name: "x", labels: {} }, '"labels" must be filled in, not an empty map'],
    [{ name: "x", url: "nowhere" }, '"url" must be a URL, not "nowhere"'],
    [{ name: "" }, '"name" must be filled in, not empty'],
    [{}, '"name" is missing'],
    [{ name: "x", title: "y" }, '"title" and "name" are the same; give one of them'],
    ["text", 'must be a map of keys and values, not "text"'],
  ])("%j: %s", (raw, message) => {
    expect(reader.read(raw).problems.map((problem) => problem.message)).toEqual([message]);
  });

  it("tells an unknown key, and which one is near", () => {
    const { problems } = reader.read({ name: "x", grace_period_second: 1, zzz: 1 });

    expect(problems).toEqual([
      {
        path: ["grace_period_second"],
        message: 'unknown key "grace_period_second"',
        hint: 'did you mean "grace_period_seconds"?',
        at: "key",
      },
      { path: ["zzz"], message: 'unknown key "zzz"', hint: expect.stringContaining("known: name, title, "), at: "key" },
    ]);
  });

  it.each(["__proto__", "constructor", "toString"])("takes %s for any unknown key", (key) => {
    const { problems } = reader.read(JSON.parse(`{"name": "x", "${key}": 1}`));

    expect(problems).toMatchObject([{ message: `unknown key "${key}"` }]);
  });

  it("is told all at once", () => {
    expect(reader.read({ level: 1, force: 2, nope: 3 }).problems).toHaveLength(4);
  });

  it("never quotes a secret", () => {
    const { problems } = reader.read({ name: "x", password: ["hunter2"] });

    expect(problems).toEqual([
      { path: ["password"], message: '"password" must be a text', hint: undefined, at: "key" },
    ]);
  });
});

describe("what is wrong with values that are not to be quoted", () => {
  const silent = compileFields(fields, { quoteTexts: false });

  it.each([
    [{ name: "x", grace_period_seconds: "hush" }, '"grace_period_seconds" must be an integer'],
    [{ name: "x", grace_period_seconds: 61 }, '"grace_period_seconds" must be at most 60, not 61'],
    [{ name: "x", force: "hush" }, '"force" must be true or false'],
    [{ name: "x", level: [] }, '"level" must be one of pod, node, not an empty list'],
    [{ name: "x", allow: ["hush"] }, '"allow[0]" must be an IP range such as 10.0.0.0/8'],
    [{ name: "" }, '"name" must be filled in, not empty'],
    ["hush", "must be a map of keys and values"],
  ])("%j: %s", (raw, message) => {
    expect(silent.read(raw).problems.map((problem) => problem.message)).toEqual([message]);
  });
});

describe("IP ranges", () => {
  it.each(["10.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32", "::/0", "2001:db8::/32", "::ffff:1.2.3.4/128"])(
    "%s is one",
    (range) => {
      expect(isCidr(range)).toBe(true);
    },
  );

  it.each([
    "",
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0/8",
    "0x0a000001/8",
    "10.0.0.0/08",
    "::/129",
    "fe80::1%eth0/64",
    "a/1",
    "1.2.3.4/8 ",
  ])("%j is none", (range) => {
    expect(isCidr(range)).toBe(false);
  });
});

describe("the schema for editors", () => {
  const accepts = new Ajv({ strict: false, logger: false }).compile(jsonSchemaOf(fields));

  it("describes each field with its default", () => {
    expect(jsonSchemaOf(fields)).toMatchObject({
      properties: {
        grace_period_seconds: { description: "Seconds.", default: 5 },
        force: { enum: [true, false, "true", "false"] },
        allow: { description: "The same as allow_cidr." },
      },
    });
  });

  it.each([{ name: "x" }, { title: "x" }, { name: 5, force: "true", grace_period_seconds: "7", labels: { a: null } }])(
    "accepts what reads: %j",
    (raw) => {
      expect(reader.read(raw).problems).toEqual([]);
      expect(accepts(raw)).toBe(true);
    },
  );

  it.each([{}, { name: "x", nope: 1 }, { name: "x", level: "nodes" }, { name: "x", grace_period_seconds: -1 }])(
    "refuses what does not: %j",
    (raw) => {
      expect(reader.read(raw).problems).not.toEqual([]);
      expect(accepts(raw)).toBe(false);
    },
  );

  it("leaves out what is required where another map completes this one", () => {
    const partial = new Ajv({ strict: false, logger: false }).compile(jsonSchemaOf(fields, { partial: true }));

    expect(partial({})).toBe(true);
  });
});

it("reads anything without throwing, and says what is wrong with it", () => {
  const lenient: Fields = { ...fields, name: text("Name") };
  const any = compileFields(lenient);
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...Object.keys(lenient), "x"), fc.jsonValue()), (raw) => {
      const { values, problems } = any.read(raw);

      expect(values === undefined).toBe(problems.length > 0);
    }),
  );
});
