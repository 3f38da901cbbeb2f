import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isExactNumber, isJsonObject, type JsonObject, parseJson, textOf } from "./json.ts";

describe("parseJson", () => {
  it.each(["1763689041886038257", "1.50", "1e400", "-0", "1E5", "0.1000", "123456789012345678901234567890.5"])(
    "keeps the digits of %s",
    (number) => {
      const value = parseJson(`{"n":${number}}`);

      expect(JSON.stringify(value)).toBe(`{"n":${number}}`);
      expect(isExactNumber((value as JsonObject)["n"] ?? null)).toBe(true);
    },
  );

  it.each(["0", "-1", "443", "1.5", "9007199254740991"])("reads %s as a plain number", (number) => {
    expect(parseJson(number)).toBe(Number(number));
  });

  it("keeps the digits of the last of two equal keys", () => {
    expect(JSON.stringify(parseJson('{"a":1.0,"a":[2.0],"a":3.00}'))).toBe('{"a":3.00}');
  });

  it("makes objects without a prototype, where every key is data", () => {
    const value = parseJson('{"__proto__":{"a":1},"hasOwnProperty":2}') as JsonObject;

    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.keys(value)).toEqual(["__proto__", "hasOwnProperty"]);
    expect((value as { a?: number }).a).toBeUndefined();
  });

  it("freezes every level", () => {
    const value = parseJson('{"a":[{"b":1}]}') as { a: [object] };

    expect([value, value.a, value.a[0]].map(Object.isFrozen)).toEqual([true, true, true]);
  });

  it("throws a SyntaxError for what is not JSON", () => {
    expect(() => parseJson('{"a":')).toThrow(SyntaxError);
  });

  it("gives back any JSON as it came", () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const text = JSON.stringify(JSON.parse(json));

        expect(JSON.stringify(parseJson(text))).toBe(text);
      }),
    );
  });
});

describe("parseJson, whichever way it takes,", () => {
  it("gives what the parser gives with the source of every number", () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        const value = parseJson(text);

        expect(JSON.stringify(value)).toBe(JSON.stringify(withSources(text)));
        expect(loosePartsOf(value)).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  it("refuses what the parser refuses, with its words", () => {
    fc.assert(
      fc.property(brokenText, (text) => {
        expect(outcomeOf(() => parseJson(text))).toEqual(outcomeOf(() => withSources(text)));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ["two numbers of the same value, written differently", '{"a":1.50,"b":1.5}'],
    ["the same, one of them in a text", '{"a":1.5,"b":"[1.50]"}'],
    ["a whole number with a fraction", '[1.0,1,"1"]'],
    ["a whole number with an exponent", '{"a":1e3,"b":1000}'],
    ["every way to write nothing", "[0,-0,0.0,-0.0,0e5,1e-400,-1e-400]"],
    ["what is beyond every number", "[1e400,-1e400,1e401]"],
    ["digits that end alike", "[9007199254740992,9007199254740993]"],
    ["blanks around numbers", '{ "a" :\n1763689041886038257\t, "b": [ 1.50 ] }'],
    ["a number alone", " 1763689041886038257\n"],
    ["numbers in keys", '{",1.50,":1.50,":2.50,":{"[3.50]":3.50}}'],
    ["equal keys", '{"a":1.50,"a":2,"b":2.50}'],
    ["keys that are indices", '{"2":1.50,"1":2.50,"__proto__":3.50}'],
  ])("keeps apart %s", (_what, text) => {
    expect(JSON.stringify(parseJson(text))).toBe(JSON.stringify(withSources(text)));
  });
});

describe("isJsonObject", () => {
  it.each([
    ["{}", true],
    ["[]", false],
    ["null", false],
    ['"text"', false],
    ["1.50", false],
  ])("says of %s: %s", (json, expected) => {
    expect(isJsonObject(parseJson(json))).toBe(expected);
  });

  it("says no of what is absent", () => {
    expect(isJsonObject(undefined)).toBe(false);
  });
});

describe("textOf", () => {
  it.each([
    ['"a \\"b\\""', 'a "b"'],
    ["1763689041886038257", "1763689041886038257"],
    ["443", "443"],
    ["true", "true"],
    ["null", "null"],
    ['{"a":[1.50]}', '{"a":[1.50]}'],
  ])("writes %s as %s", (json, text) => {
    expect(textOf(parseJson(json))).toBe(text);
  });
});

const digits = fc.stringMatching(/^-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/);
/** Few of them, so that the same value comes twice, written alike and not. */
const written = fc.constantFrom(
  "1.5",
  "1.50",
  "15e-1",
  "-0",
  "0",
  "0.0",
  "1",
  "1.0",
  "1e0",
  "9007199254740993",
  "1e999",
);
const text = fc
  .oneof(fc.string(), fc.string({ unit: "binary" }), written, digits, fc.constant("__proto__"))
  .chain((inside) =>
    fc.constantFrom(inside, `,${inside},`, `[${inside}]`, `:${inside} }`).map((whole) => JSON.stringify(whole)),
  );
const blank = fc.constantFrom("", "", " ", "\n\t ");
const { value: jsonValue } = fc.letrec<{ value: string }>((tie) => ({
  value: fc
    .tuple(
      blank,
      fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc.oneof(digits, written, text, fc.constantFrom("true", "false", "null")),
        fc.array(tie("value")).map((items) => `[${items.join(",")}]`),
        fc
          .array(fc.tuple(blank, text, tie("value")))
          .map((entries) => `{${entries.map(([space, key, value]) => `${space}${key}${space}:${value}`).join(",")}}`),
      ),
      blank,
    )
    .map((parts) => parts.join("")),
}));
const jsonText: fc.Arbitrary<string> = jsonValue;
const brokenText = fc
  .tuple(jsonText, fc.nat(), fc.constantFrom("", "0", "-", ".", "e", ",", '"', "]", "\\", "01", "\u00a0", "1.5"))
  .map(([json, at, put]) => {
    const place = at % (json.length + 1);
    return json.slice(0, place) + put + json.slice(place + 1);
  });

/** As the parser of JavaScript has it, asked for the source of every number. */
function withSources(json: string): unknown {
  const reviver = (_key: string, value: unknown, { source = "" }: { source?: string }) =>
    typeof value === "number" && String(value) !== source ? rawJson(source) : value;
  return JSON.parse(json, reviver as (key: string, value: unknown) => unknown);
}

function rawJson(source: string): unknown {
  return (JSON as unknown as { rawJSON(source: string): unknown }).rawJSON(source);
}

function outcomeOf(parse: () => unknown): readonly unknown[] {
  try {
    return ["parsed", JSON.stringify(parse())];
  } catch (error) {
    return ["refused", (error as Error).name, (error as Error).message];
  }
}

/** Objects that could be changed, or have a prototype though they are no lists. */
function loosePartsOf(value: unknown): readonly unknown[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const loose = !Object.isFrozen(value) || (!Array.isArray(value) && Object.getPrototypeOf(value) !== null);
  return [...(loose ? [value] : []), ...Object.values(value).flatMap(loosePartsOf)];
}
