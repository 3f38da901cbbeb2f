import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Decoding, decodeEvent, type Fault } from "./decode.ts";
import type { FalcoEvent } from "./event.ts";
import { type JsonValue, parseJson } from "./json.ts";

const receipt = { id: "e-1", receivedAt: "2026-03-01T10:00:01.000Z" };

describe("decodeEvent", () => {
  it("reads what Falcosidekick relays", () => {
    const sent = {
      uuid: "7403e430-ec66-4787-95e7-61d17731af10",
      rule: "Terminal shell in container",
      priority: "Notice",
      source: "syscall",
      hostname: "node-1",
      output: "10:00:00.123456789: Notice A shell was spawned",
      tags: ["container", "shell"],
      output_fields: { "k8s.pod.name": "cart-1" },
      time: "2026-03-01T10:00:00.123456789Z",
    };

    const decoding = decodeEvent(JSON.stringify(sent), receipt);

    expect(plain(decoding)).toEqual({
      timeReplaced: false,
      event: {
        id: "e-1",
        uuid: sent.uuid,
        rule: sent.rule,
        priority: "Notice",
        source: "syscall",
        hostname: "node-1",
        output: sent.output,
        tags: sent.tags,
        fields: sent.output_fields,
        time: sent.time,
        receivedAt: receipt.receivedAt,
        sent,
        text: JSON.stringify(sent),
      },
    });
  });

  it("reads the least that Falco sends", () => {
    const event = eventIn('{"rule":"r","priority":"Debug"}');

    expect(event).toMatchObject({ uuid: undefined, hostname: undefined, output: undefined, source: "syscall" });
    expect(event.tags).toEqual([]);
    expect(Object.keys(event.fields)).toEqual([]);
  });

  it("takes null and empty for absent", () => {
    const event = eventIn(
      '{"rule":"r","priority":"Debug","uuid":null,"hostname":"","output":null,"tags":null,"output_fields":null,"source":""}',
    );

    expect(event).toMatchObject({ uuid: undefined, hostname: undefined, output: undefined, source: "syscall" });
    expect(event.tags).toEqual([]);
    expect(Object.keys(event.fields)).toEqual([]);
  });

  it.each([
    ["", "syscall"],
    ["syscall", "syscall"],
    ["syscalls", "syscall"],
    ["k8s_audit", "k8s_audit"],
  ])("reads the source %j as %s", (sent, source) => {
    expect(eventIn(JSON.stringify({ rule: "r", priority: "Debug", source: sent })).source).toBe(source);
  });

  it("takes keys in any case, as Go does", () => {
    const event = eventIn(
      '{"Rule":"r","PRIORITY":"info","Output_Fields":{"a":1},"HostName":"node-1","Tags":["t"],"UUID":"u"}',
    );

    expect(event).toMatchObject({ rule: "r", priority: "Informational", hostname: "node-1", tags: ["t"], uuid: "u" });
    expect(event.fields["a"]).toBe(1);
  });

  it("prefers the exact spelling of a key, then the last one", () => {
    expect(eventIn('{"rule":"exact","priority":"Debug","Rule":"other"}').rule).toBe("exact");
    expect(eventIn('{"RULE":"first","priority":"Debug","Rule":"last"}').rule).toBe("last");
  });

  it("keeps top-level keys that it does not know", () => {
    const { sent } = eventIn('{"rule":"r","priority":"Debug","message":"m","evt":{"n":1.0}}');

    expect(JSON.stringify(sent)).toBe('{"rule":"r","priority":"Debug","message":"m","evt":{"n":1.0}}');
  });

  it("keeps __proto__ and constructor as plain data", () => {
    const event = eventIn(
      '{"rule":"r","priority":"Debug","__proto__":{"uuid":"x"},"output_fields":{"__proto__":{"polluted":true},"constructor":"c"}}',
    );

    expect(event.uuid).toBeUndefined();
    expect(Object.keys(event.fields)).toEqual(["__proto__", "constructor"]);
    expect(event.fields["polluted"]).toBeUndefined();
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it("does not take an inherited name for a field", () => {
    const { fields } = eventIn('{"rule":"r","priority":"Debug"}');

    expect(fields["toString"]).toBeUndefined();
  });

  it("is frozen to the bottom", () => {
    const decoding = decodeEvent(
      '{"rule":"r","priority":"Debug","tags":["a"],"output_fields":{"a":[{"b":1763689041886038257}]}}',
      receipt,
    );

    expect(unfrozenIn(decoding.event)).toEqual([]);
    expect(unfrozenIn(eventIn('{"rule":"r","priority":"Debug"}'))).toEqual([]);
  });

  it("leaves out the byte order mark", () => {
    expect(eventIn('\uFEFF{"rule":"r","priority":"Debug"}').rule).toBe("r");
  });

  it("replaces lone surrogates in keys and values, and leaves pairs and escaped backslashes alone", () => {
    const { fields } = eventIn(
      String.raw`{"rule":"r","priority":"Debug","output_fields":{"a\ud800":"\ud83d\ude00 \udc00 \uD800\n \\ud800"}}`,
    );

    expect(fields).toEqual(Object.assign(Object.create(null), { "a\uFFFD": "😀 \uFFFD \uFFFD\n \\ud800" }));
  });

  it("never throws, whatever the text", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.json().map((json) => json.slice(0, -1)),
        ),
        (text) => {
          const decoding = decodeEvent(text, receipt);

          return (decoding.fault === undefined) !== (decoding.event === undefined);
        },
      ),
    );
  });

  it("never throws, whatever the types of the keys it knows", () => {
    const anything = fc.jsonValue();
    const keys = { rule: anything, priority: anything, tags: anything, output_fields: anything, time: anything };

    fc.assert(
      fc.property(fc.record(keys, { requiredKeys: [] }), (sent) => {
        const decoding = decodeEvent(JSON.stringify(sent), receipt);

        return (decoding.fault === undefined) !== (decoding.event === undefined);
      }),
    );
  });

  it("gives back what was sent, digit by digit", () => {
    const number = fc.oneof(
      fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
      fc.tuple(fc.nat(), fc.nat(), fc.nat(400)).map(([whole, part, power]) => `${whole}.${part}0e+${power}`),
    );

    fc.assert(
      fc.property(fc.array(number), (numbers) => {
        const text = `{"rule":"r","priority":"Debug","output_fields":{${numbers.map((n, i) => `"f${i}":${n}`)}}}`;

        expect(JSON.stringify(eventIn(text).sent)).toBe(text);
      }),
    );
  });
});

describe("the time of an event", () => {
  it.each(["2026-03-01T10:00:00.123456789Z", "2026-03-01T10:00:00Z", "2024-02-29T23:59:59.5+02:00"])(
    "is %s as it was sent",
    (time) => {
      const decoding = decodeEvent(JSON.stringify({ rule: "r", priority: "Debug", time }), receipt);

      expect(decoding).toMatchObject({ event: { time }, timeReplaced: false });
    },
  );

  it.each([
    '"2021-04-13T20:58:00.746609046Z+2"',
    '"2026-13-01T10:00:00Z"',
    '"2026-02-30T10:00:00Z"',
    '"2025-02-29T10:00:00Z"',
    '"2026-03-01T24:00:00Z"',
    '"2026-03-01T10:61:00Z"',
    '"2026-03-01T10:00:00"',
    '"2026-03-01"',
    '"yesterday"',
    '""',
    "1763689041886038257",
    "null",
    '{"at":1}',
  ])("is the time of receipt where %s was sent, which is kept", (time) => {
    const decoding = decodeEvent(`{"rule":"r","priority":"Debug","time":${time}}`, receipt);

    expect(decoding).toMatchObject({ event: { time: receipt.receivedAt }, timeReplaced: true });
    expect(JSON.stringify(decoding.event?.sent["time"])).toBe(time);
  });

  it("is the time of receipt where none was sent", () => {
    const decoding = decodeEvent('{"rule":"r","priority":"Debug"}', receipt);

    expect(decoding).toMatchObject({ event: { time: receipt.receivedAt }, timeReplaced: true });
  });
});

describe("a text that is no event", () => {
  it("is not JSON, and the message says where", () => {
    const fault = faultOf('{"rule":"r","priority":"Debug","output_fields":{"a":"tru');

    expect(fault).toMatchObject({ reason: "not_json", field: undefined, expected: "one event as a JSON object" });
    expect(fault.message).toContain("position 56");
  });

  it("is not JSON where it is empty, and the message says that", () => {
    expect(faultOf("").message).toBe("not JSON: it is empty");
  });

  it.each(["rule: x", "{'rule':1}", '{"rule":"r"} {"rule":"r"}', '{"a":01}', '{"a":NaN}'])(
    "is not JSON: %s",
    (text) => {
      expect(faultOf(text).reason).toBe("not_json");
    },
  );

  it.each([
    ["[]", "a list"],
    ['[{"rule":"r","priority":"Debug"}]', "a list"],
    ['"text"', '"text"'],
    ["1763689041886038257", "1763689041886038257"],
    ["null", "null"],
  ])("is not an object: %s", (text, got) => {
    const fault = faultOf(text);

    expect(fault).toMatchObject({ reason: "not_an_object", expected: "one event as a JSON object" });
    expect(fault.message).toContain(`got ${got}`);
  });

  it.each(["[", '{"a":'])("is nested too deeply: 9000 times %s", (open) => {
    const text = open === "[" ? "[".repeat(9000) + "]".repeat(9000) : nestedObjects(9000);

    expect(faultOf(text)).toMatchObject({
      reason: "not_json",
      expected: "JSON nested at most 32 levels deep",
      message: "the JSON is nested too deeply",
    });
  });

  it.each(["{}", "[[]]", "1", '"\\",{["'])(
    "holds more values than any event, which would hold up the others: %s",
    (value) => {
      const withValues = (count: number) =>
        `{"rule":"r","priority":"Debug","x":[${Array(count).fill(value).join(",")}]}`;

      expect(eventIn(withValues(3000)).rule).toBe("r");
      expect(faultOf(withValues(10_001))).toMatchObject({
        reason: "not_json",
        expected: "JSON of at most 10000 values",
        message: "the JSON holds too many values",
      });
    },
  );

  it("keeps a long text, whatever is in it", () => {
    const output = '{"a":[1,2],"b\\"},'.repeat(50_000);

    expect(eventIn(JSON.stringify({ rule: "r", priority: "Debug", output })).output).toBe(output);
  });

  it("is nested one level too deep", () => {
    const nested = (levels: number) => `{"rule":"r","priority":"Debug","x":${"[".repeat(levels)}${"]".repeat(levels)}}`;

    expect(eventIn(nested(31)).rule).toBe("r");
    expect(faultOf(nested(32)).message).toBe("the JSON is nested too deeply");
  });

  it.each([undefined, null, "", "  ", 5, ["r"], { name: "r" }])("has no rule: %j", (rule) => {
    expect(faultOf(JSON.stringify({ rule, priority: "Debug" }))).toMatchObject({
      reason: "invalid_rule",
      field: "rule",
      expected: "the name of a Falco rule, a text that is not empty",
    });
  });

  it.each([undefined, null, "", "Severe", 4])("has no known priority: %j", (priority) => {
    const fault = faultOf(JSON.stringify({ rule: "r", priority }));

    expect(fault).toMatchObject({ reason: "invalid_priority", field: "priority" });
    expect(fault.expected).toContain("Emergency, Alert");
  });

  it.each([
    [{ tags: "a,b" }, "tags", "a list of texts", '"a,b"'],
    [{ tags: { a: 1 } }, "tags", "a list of texts", "an object"],
    [{ tags: ["a", 5] }, "tags[1]", "a text", "5"],
    [{ tags: [null] }, "tags[0]", "a text", "null"],
    [{ output_fields: ["a"] }, "output_fields", "an object", "a list"],
    [{ output_fields: "a=b" }, "output_fields", "an object", '"a=b"'],
    [{ hostname: 7 }, "hostname", "a text", "7"],
    [{ uuid: {} }, "uuid", "a text", "an object"],
    [{ output: [] }, "output", "a text", "a list"],
    [{ source: true }, "source", "a text", "true"],
  ])("has a field of the wrong type: %j", (part, field, expected, got) => {
    const fault = faultOf(JSON.stringify({ rule: "r", priority: "Debug", ...part }));

    expect(fault).toEqual({
      reason: "invalid_field",
      field,
      expected,
      message: `"${field}" must be ${expected}; got ${got}`,
    });
  });

  it("is quoted only in part", () => {
    const { message } = faultOf(JSON.stringify({ rule: "r", priority: "x".repeat(100_000) }));

    expect(message.length).toBeLessThan(200);
  });
});

describe("events seen in practice", () => {
  const odd = linesOf(new URL("fixtures/odd.jsonl", import.meta.url));

  it.each(odd)("decodes %s", (line) => {
    const event = eventIn(line);

    expect(event.sent).toEqual(parseJson(line.replace(String.raw`\ud800"`, '\uFFFD"')));
  });

  const shared = ["real", "corpus"].map(
    (name) => new URL(`../../../shared/data/events/${name}.jsonl`, import.meta.url),
  );

  it.skipIf(!shared.every((file) => existsSync(file)))(
    "decodes every line of ../shared/data/events (skipped where that is absent)",
    () => {
      const lines = shared.flatMap(linesOf);

      const faults = lines.map((line) => decodeEvent(line, receipt).fault).filter((fault) => fault !== undefined);

      expect(lines.length).toBeGreaterThan(500);
      expect(faults).toEqual([]);
      for (const line of lines) {
        expect(numbersIn(JSON.stringify(eventIn(line).sent))).toEqual(numbersIn(line));
      }
    },
  );
});

function eventIn(text: string): FalcoEvent {
  const { event, fault } = decodeEvent(text, receipt);
  expect(fault).toBeUndefined();
  return event as FalcoEvent;
}

function faultOf(text: string): Fault {
  const { fault } = decodeEvent(text, receipt);
  expect(fault).toBeDefined();
  return fault as Fault;
}

/** Without the missing prototypes, which `toEqual` minds. */
function plain(decoding: Decoding): unknown {
  return JSON.parse(JSON.stringify(decoding));
}

function nestedObjects(levels: number): string {
  return `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
}

function linesOf(file: URL): string[] {
  return readFileSync(file, "utf8").trim().split("\n");
}

/** The numbers outside of texts, as they are written. */
function numbersIn(json: string): string[] {
  return [...json.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').matchAll(/-?\d[\d.eE+-]*/g)].map(([number]) => number);
}

function unfrozenIn(value: unknown, path = "event"): string[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const below = Object.entries(value).flatMap(([key, child]: [string, JsonValue]) =>
    unfrozenIn(child, `${path}.${key}`),
  );
  return Object.isFrozen(value) ? below : [path, ...below];
}
