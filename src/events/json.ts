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
    return source === undefined || String(value) === source ? value : exactJson.rawJSON(source);
  }
  if (Array.isArray(value)) {
    return Object.freeze(value);
  }
  if (typeof value === "object" && value !== null && !exactJson.isRawJSON(value)) {
    return Object.freeze(Object.setPrototypeOf(value, null));
  }
  return value;
}
