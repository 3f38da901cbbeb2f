import { isIP } from "node:net";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import type { Field, FieldSchema, Fields, ValuesOf } from "./field.ts";
import { isAnnotationKey, isLabelKey, isLabelValue } from "./kubernetes-names.ts";
import { didYouMean } from "./problem.ts";
import { Secret } from "./secret.ts";
import type { Path } from "./yaml.ts";

/** One thing wrong with a value, for people. It never quotes a secret. */
export interface FieldProblem {
  /** From the value that was read; of a missing key, where it would stand. */
  readonly path: Path;
  readonly message: string;
  readonly hint: string | undefined;
  /** What the problem is about: the key (an unknown one, a secret's) or the value. */
  readonly at: "key" | "value";
}

export type FieldReading<F extends Fields> =
  | { readonly values: ValuesOf<F>; readonly problems: readonly [] }
  | { readonly values: undefined; readonly problems: readonly FieldProblem[] };

export interface FieldsReader<F extends Fields = Fields> {
  /** Checks a map of plain data and fills in the defaults; what is absent or null is not given. Changes nothing in it. */
  read(raw: unknown): FieldReading<F>;
}

export interface ReadOptions {
  /** Whether Problems quote the texts that they refuse; a secret's never. */
  readonly quoteTexts?: boolean;
}

/** JSON Schema, draft-07. */
export type JsonSchema = Readonly<Record<string, unknown>>;

type Values = Record<string, unknown>;

const maxShown = 40;
const maxPrefixLength = 256;

/** Compiles once; `read` is then cheap. Throws where a field declares what is not JSON Schema. */
export function compileFields<const F extends Fields>(
  fields: F,
  { quoteTexts = true }: ReadOptions = {},
): FieldsReader<F> {
  const known = mainNamesOf(fields);
  const validate = compile(fields, known);
  return { read: (raw) => read(raw, { fields, known, validate, quoteTexts }) as FieldReading<F> };
}

/**
 * For editors: what a file may say, in every spelling that `tolerate` accepts. `partial` leaves out what is required, for a
 * map that another one completes.
 */
export function jsonSchemaOf(fields: Fields, { partial = false }: { readonly partial?: boolean } = {}): JsonSchema {
  const required = partial ? [] : Object.entries(fields).filter(([, field]) => field.required);
  return {
    type: "object",
    properties: Object.fromEntries(Object.entries(fields).flatMap(editorEntries)),
    additionalProperties: false,
    ...(required.length > 0 && {
      allOf: required.map(([name, field]) => ({ anyOf: [name, ...field.aliases].map((one) => ({ required: [one] })) })),
    }),
  };
}

/** Whether a text is an IPv4 or IPv6 range: `10.0.0.0/8`, `2001:db8::/32`. */
export function isCidr(text: string): boolean {
  const [, address = "", prefix = ""] = /^([0-9a-fA-F.:]+)\/(\d|[1-9]\d{1,2})$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && Number(prefix) <= (version === 4 ? 32 : 128);
}

/** Whether a text can stand before the name of an object: `evidence/pcap`, with or without slashes around it. */
export function isPrefix(text: string): boolean {
  const segments = text.replace(/^\/+|\/+$/g, "").split("/");
  const named = segments.every((segment) => /^[A-Za-z0-9!_.*'()=@+,:-]+$/.test(segment) && !/^\.{1,2}$/.test(segment));
  return text.length <= maxPrefixLength && (named || segments.join() === "");
}

/** Whether each `${` of a text begins a token, `${FD_NAME}`: any other one would stay as it is. */
export function hasWholeTokens(text: string): boolean {
  return !/\$\{(?![A-Z_][A-Z0-9_]*\})/.test(text);
}

/** The formats that a field's schema may have. */
export const formats: Readonly<Record<string, (text: string) => boolean>> = {
  cidr: isCidr,
  prefix: isPrefix,
  uri: (text) => URL.canParse(text),
  tokens: hasWholeTokens,
  "label-key": isLabelKey,
  "label-value": isLabelValue,
  "annotation-key": isAnnotationKey,
};

interface Compiled {
  readonly fields: Fields;
  /** Main names and aliases → the main name. */
  readonly known: ReadonlyMap<string, string>;
  readonly validate: ValidateFunction;
  readonly quoteTexts: boolean;
}

function mainNamesOf(fields: Fields): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(fields).flatMap(([name, field]) => [name, ...field.aliases].map((one) => [one, name] as const)),
  );
}

function compile(fields: Fields, known: ReadonlyMap<string, string>): ValidateFunction {
  // Fields are typed: checking each schema against the meta-schema would cost every start some 6 ms per entry.
  const ajv = new Ajv({
    strict: true,
    allErrors: true,
    useDefaults: true,
    verbose: true,
    validateSchema: false,
    meta: false,
  });
  for (const [name, isOfIt] of Object.entries(formats)) {
    ajv.addFormat(name, isOfIt);
  }
  return ajv.compile({
    type: "object",
    properties: Object.fromEntries(
      [...known].map(([written, name]) => [written, checkedSchema(fields, written, name)]),
    ),
    additionalProperties: false,
  });
}

function checkedSchema(fields: Fields, written: string, name: string): object {
  const { schema, default: fallback } = fields[name] as Field;
  return written === name && fallback !== undefined ? { ...schema, default: fallback } : schema;
}

function editorEntries([name, { summary, schema, default: fallback, aliases }]: [string, Field]): [
  string,
  JsonSchema,
][] {
  const spellings = spellingsOf(schema);
  return [
    [name, { description: `${summary}.`, ...spellings, ...(fallback !== undefined && { default: fallback }) }],
    ...aliases.map((alias): [string, JsonSchema] => [alias, { description: `The same as ${name}.`, ...spellings }]),
  ];
}

/** `pattern` and `enum` hold for texts alone, `minimum` for numbers alone. */
function spellingsOf(schema: FieldSchema): JsonSchema {
  const { type, items, additionalProperties, ...limits } = schema;
  switch (type) {
    case "boolean":
      return { enum: [true, false, "true", "false"] };
    case "integer":
      return { type: ["integer", "string"], pattern: "^-?[0-9]{1,15}$", ...limits };
    case "string":
      return limits.enum ? { type, ...limits } : { type: ["string", "number", "boolean"], ...limits };
    case "array":
      return { type, ...(items && { items: spellingsOf(items) }), ...limits };
    case "object":
      return {
        type,
        ...(additionalProperties && { additionalProperties: orNull(spellingsOf(additionalProperties)) }),
        ...limits,
      };
    case undefined:
      return { ...limits };
  }
}

function orNull(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: "null" }] };
}

function read(raw: unknown, compiled: Compiled): FieldReading<Fields> {
  if (raw !== undefined && raw !== null && !isMap(raw)) {
    return refused([wrong([], `must be a map of keys and values${instead(raw, compiled)}`)]);
  }

  const given = tolerated(raw ?? {}, compiled);
  const values = { ...given };
  compiled.validate(values);
  const problems = [
    ...uniqueByPlace((compiled.validate.errors ?? []).flatMap((error) => problemOf(error, compiled) ?? [])),
    ...missing(given, compiled.fields),
    ...givenTwice(given, compiled.fields),
  ];
  return problems.length > 0 ? refused(problems) : { values: folded(given, values, compiled.fields), problems: [] };
}

function refused(problems: readonly FieldProblem[]): FieldReading<Fields> {
  return { values: undefined, problems };
}

function tolerated(raw: Values, { fields, known }: Compiled): Values {
  return Object.fromEntries(
    Object.entries(raw)
      .filter(([key, value]) => value !== null || !known.has(key))
      .map(([key, value]) => [key, fields[known.get(key) ?? ""]?.tolerate(value) ?? value]),
  );
}

function missing(given: Values, fields: Fields): readonly FieldProblem[] {
  return Object.entries(fields)
    .filter(([name, field]) => field.required && ![name, ...field.aliases].some((one) => Object.hasOwn(given, one)))
    .map(([name]) => wrong([name], `"${name}" is missing`));
}

/** Lists and maps of several names are joined; of two scalars one would be lost. */
function givenTwice(given: Values, fields: Fields): readonly FieldProblem[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const [first, ...others] = [name, ...field.aliases].filter((one) => Object.hasOwn(given, one));
    const joins = field.schema.type === "array" || field.schema.type === "object";
    return joins
      ? []
      : others.map((other) => ({
          ...wrong([other], `"${other}" and "${first}" are the same; give one of them`),
          at: "key" as const,
        }));
  });
}

function folded(given: Values, values: Values, fields: Fields): Values {
  return Object.fromEntries(
    Object.entries(fields)
      .map(([name, field]) => [name, foldedValue(namesGiven(name, field, given), values, field)] as const)
      .filter(([, value]) => value !== undefined),
  );
}

/** The names that the values are given under; where there is none the main name holds the default. */
function namesGiven(name: string, { aliases }: Field, given: Values): readonly string[] {
  const names = [name, ...aliases].filter((one) => Object.hasOwn(given, one));
  return names.length === 0 ? [name] : names;
}

function foldedValue(names: readonly string[], values: Values, { secret }: Field): unknown {
  const [first, ...others] = names.map((name) => values[name]);
  const value = others.reduce(join, first);
  return secret && value !== undefined ? kept(value) : value;
}

function kept(value: unknown): unknown {
  return isMap(value)
    ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, new Secret(String(entry))]))
    : new Secret(String(value));
}

function join(first: unknown, second: unknown): unknown {
  if (Array.isArray(first) && Array.isArray(second)) {
    return [...first, ...second];
  }
  return isMap(first) && isMap(second) ? { ...second, ...first } : first;
}

/** Undefined for what only says that there is another error. */
function problemOf(error: ErrorObject, compiled: Compiled): FieldProblem | undefined {
  const { fields, known } = compiled;
  const path = pathOf(error);
  if (error.keyword === "propertyNames") {
    return undefined;
  }
  if (error.propertyName !== undefined) {
    const message = `the key ${shown(error.propertyName)} of "${nameOf(path)}" must be ${expectation(error)}`;
    return { path: [...path, error.propertyName], message, hint: undefined, at: "key" };
  }
  if (error.keyword === "additionalProperties") {
    return unknownKey([...path, String(error.params["additionalProperty"])], known.keys());
  }
  const field = fields[known.get(String(path[0])) ?? ""];
  const expected = `"${nameOf(path)}" must be ${expectation(error)}`;
  return field?.secret
    ? { path, message: expected, hint: undefined, at: "key" }
    : wrong(path, `${expected}${instead(error.data, compiled)}`);
}

/** The Problem of a key that is not among the known ones. */
export function unknownKey(path: Path, known: Iterable<string>): FieldProblem {
  const key = String(path.at(-1));
  const names = [...known];
  const list = names.length === 0 ? "none is known here" : `known: ${names.join(", ")}`;
  return { path, message: `unknown key "${key}"`, hint: didYouMean(key, names) ?? list, at: "key" };
}

function wrong(path: Path, message: string): FieldProblem {
  return { path, message, hint: undefined, at: "value" };
}

function uniqueByPlace(problems: readonly FieldProblem[]): readonly FieldProblem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify([problem.path, problem.at]), problem])).values()];
}

function pathOf({ instancePath }: ErrorObject): Path {
  return instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/** `labels.app`, `allow_cidr[0]`. */
function nameOf(path: Path): string {
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${part}`))
    .join("");
}

const typeWords: Readonly<Record<NonNullable<FieldSchema["type"]>, string>> = {
  string: "a text",
  integer: "an integer",
  boolean: "true or false",
  array: "a list",
  object: "a map of keys and values",
};

const nameRule = "at most 63 letters, digits and -_. with a letter or digit at both ends";
const formatWords: Readonly<Record<string, string>> = {
  cidr: "an IP range such as 10.0.0.0/8",
  prefix: "a path such as evidence/pcap, of letters, digits and !_.*'()=@+,:-",
  uri: "a URL",
  tokens: `a text in which each "\${" begins a token such as \${FD_NAME}`,
  "label-key": `a label's key, such as suspicious or example.com/owner (${nameRule}; before it perhaps a DNS name and a slash)`,
  "label-value": `a label's value (${nameRule})`,
  "annotation-key": `an annotation's key, such as note or example.com/note (${nameRule}; before it perhaps a DNS name and a slash)`,
};

/** What the schema wants: completes "must be …". */
function expectation({ keyword, params, schema }: ErrorObject): string {
  switch (keyword) {
    case "type":
      return typeWords[schema as keyof typeof typeWords];
    case "enum":
      return `one of ${(schema as readonly string[]).join(", ")}`;
    case "minimum":
      return `at least ${params["limit"]}`;
    case "maximum":
      return `at most ${params["limit"]}`;
    case "minLength":
    case "minItems":
    case "minProperties":
      return Number(params["limit"]) === 1 ? "filled in" : `at least ${params["limit"]} long`;
    case "format":
      return formatWords[String(schema)] ?? `a ${schema}`;
    case "pattern":
      return `of the form ${schema}`;
    default:
      return `valid (${keyword})`;
  }
}

/** What was given: completes "must be …". */
function instead(value: unknown, { quoteTexts }: Compiled): string {
  return typeof value === "string" && value !== "" && !quoteTexts ? "" : `, not ${shown(value)}`;
}

function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    const kind = Array.isArray(value) ? "list" : "map";
    return Object.keys(value).length === 0 ? `an empty ${kind}` : `a ${kind}`;
  }
  return typeof value === "string" ? quoted(value) : String(value);
}

function quoted(text: string): string {
  const start = text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
  return text === "" ? "empty" : `"${start}"`;
}

function isMap(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
