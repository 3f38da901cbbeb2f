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
