/**
 * A number whose digits a JavaScript number would change (`1763689041886038257`, `1.50`, `1e400`): its source text.
 * `JSON.stringify` writes it back exactly as it came.
 */
export interface ExactNumber {
  readonly rawJSON: string;
}

export type JsonValue = string | number | boolean | null | ExactNumber | readonly JsonValue[] | JsonObject;

/** Prototype-free: every key, `__proto__` too, is plain data. */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

interface ExactJson {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  rawJSON(source: string): ExactNumber;
  isRawJSON(value: unknown): value is ExactNumber;
}

// TypeScript's library does not declare these yet (ECMAScript 2026, Node 22 and later).
const exactJson = JSON as unknown as ExactJson;

/** Parses JSON so that no digit of a number is lost and no key is special; deeply frozen. Throws SyntaxError. */
export function parseJson(text: string): JsonValue {
  const sources = sourcesOfNumbers(text);
  if (sources === undefined) {
    return parseWithSources(text);
  }
  const value: unknown = JSON.parse(text);
  return (typeof value === "number" ? numberFrom(text.trim()) : sealed(value, sources)) as JsonValue;
}

/** Right for any JSON, at three times the cost: the parser gives the source of every value. */
function parseWithSources(text: string): JsonValue {
  return exactJson.parse(text, (_key, value, { source }) => preserve(value, source)) as JsonValue;
}

export function isExactNumber(value: JsonValue): value is ExactNumber {
  return exactJson.isRawJSON(value);
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !exactJson.isRawJSON(value);
}

/** The value as a person would write it: strings bare, numbers with every digit sent, the rest as JSON. */
export function textOf(value: JsonValue): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function preserve(value: unknown, source: string | undefined): unknown {
  if (typeof value === "number") {
    return source === undefined ? value : numberFrom(source);
  }
  if (typeof value === "object" && value !== null && !exactJson.isRawJSON(value)) {
    return Object.freeze(Array.isArray(value) ? value : Object.setPrototypeOf(value, null));
  }
  return value;
}

function numberFrom(source: string): number | ExactNumber {
  const value = Number(source);
  return String(value) === source ? value : exactJson.rawJSON(source);
}

/**
 * A number in a list or an object which JavaScript might write differently: with 16 digits or more, a fraction or an exponent,
 * or -0. Finds what looks like one inside of a text, too.
 */
const delicate =
  /[:,[]\s*(?:-?(?:[1-9]\d{15,}|(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+))|-0)(?=\s*[,\]}])/g;

/** Whether a number can have this value without being delicate. */
function isPlain(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) < 1e15 && !Object.is(value, -0);
}

/** The delicate numbers by their values; undefined where a value does not tell how it was written (`1.0`; `1.50` and `1.5`). */
function sourcesOfNumbers(text: string): ReadonlyMap<number, string> | undefined {
  const sources = new Map<number, string>();
  for (const found of text.match(delicate) ?? []) {
    const source = found.slice(1).trimStart();
    const value = Number(source);
    if (isPlain(value) || (sources.get(value) ?? source) !== source) {
      return undefined;
    }
    sources.set(value, source);
  }
  return sources;
}

function sealed(value: unknown, sources: ReadonlyMap<number, string>): unknown {
  if (typeof value === "number") {
    return isPlain(value) ? value : numberFrom(sources.get(value) as string);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  if (Array.isArray(value)) {
    return Object.freeze(value.map((item) => sealed(item, sources)));
  }
  const object = value as Record<string, unknown>;
  for (const key in object) {
    object[key] = sealed(object[key], sources);
  }
  return Object.freeze(Object.setPrototypeOf(object, null));
}
