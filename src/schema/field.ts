import type { Secret } from "./secret.ts";

/** The part of JSON Schema that a field uses. */
export interface FieldSchema {
  readonly type?: "string" | "integer" | "boolean" | "array" | "object";
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
  readonly minProperties?: number;
  readonly pattern?: string;
  /** A format of ours or of JSON Schema's: `cidr`, `uri`. */
  readonly format?: string;
  readonly items?: FieldSchema;
  readonly additionalProperties?: FieldSchema;
  /** Of a map's keys. */
  readonly propertyNames?: FieldSchema;
  readonly uniqueItems?: boolean;
}

type Default = string | number | boolean | readonly string[] | Readonly<Record<string, string | number>>;

/**
 * One parameter or setting, declared once: its TypeScript type, check, default, documentation and listing all come
 * from here.
 */
export interface Field<T = unknown> {
  readonly summary: string;
  readonly schema: FieldSchema;
  readonly required: boolean;
  readonly default: Default | undefined;
  /** Older names that load as this one; maps and lists given under both are joined. */
  readonly aliases: readonly string[];
  /** Masked wherever it is shown; read into a `Secret`. */
  readonly secret: boolean;
  /** A text for which the configuration also takes `<name>_file`, the path of a file that holds it. */
  readonly mayBeInFile?: boolean;
  /** The text, or each value of the map, is the path of a file that is read on the machine that Hallux runs on, when it is used. */
  readonly namesFile?: boolean;
  /** Turns a spelling that YAML or an environment variable makes likely (`"true"`, `5` for a text) into the type. */
  readonly tolerate: (value: unknown) => unknown;
  /** Only for the compiler. */
  readonly type?: T;
}

export type Fields = Readonly<Record<string, Field>>;

/** What `run` receives: a default or `required` makes the value present, else it may be undefined. */
export type ValuesOf<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

interface Options<D> {
  readonly default?: D;
  readonly required?: boolean;
  readonly aliases?: readonly string[];
}

/** T where a value is certain, else T | undefined. */
type Present<T, O> = O extends { required: true } | { default: T } ? T : T | undefined;

type TextOptions = Options<string> & Pick<FieldSchema, "minLength" | "pattern" | "format">;
type IntegerOptions = Options<number> & Pick<FieldSchema, "minimum" | "maximum">;
type ListOptions = Options<readonly string[]> & Pick<FieldSchema, "minItems"> & { readonly items?: FieldSchema };
type MapOptions = Options<Readonly<Record<string, string>>> &
  Pick<FieldSchema, "minProperties"> & { readonly keys?: FieldSchema; readonly values?: FieldSchema };

export function text<const O extends TextOptions>(summary: string, options?: O): Field<Present<string, O>> {
  const { minLength, pattern, format } = options ?? {};
  return field(summary, { type: "string", ...given({ minLength, pattern, format }) }, options, scalarToText);
}

export function integer<const O extends IntegerOptions>(summary: string, options?: O): Field<Present<number, O>> {
  const { minimum, maximum } = options ?? {};
  return field(summary, { type: "integer", ...given({ minimum, maximum }) }, options, textToInteger);
}

export function flag<const O extends Options<boolean>>(summary: string, options?: O): Field<Present<boolean, O>> {
  return field(summary, { type: "boolean" }, options, textToFlag);
}

export function choice<const C extends readonly string[], const O extends Options<C[number]>>(
  summary: string,
  choices: C,
  options?: O,
): Field<Present<C[number], O>> {
  return field(summary, { type: "string", enum: choices }, options, scalarToText);
}

export function textList<const O extends ListOptions>(
  summary: string,
  options?: O,
): Field<Present<readonly string[], O>> {
  const { items = {}, minItems } = options ?? {};
  return field(
    summary,
    { type: "array", items: { type: "string", ...items }, ...given({ minItems }) },
    options,
    toTextList,
  );
}

export function textMap<const O extends MapOptions>(
  summary: string,
  options?: O,
): Field<Present<Readonly<Record<string, string>>, O>> {
  const { minProperties, keys: propertyNames, values = {} } = options ?? {};
  return field(
    summary,
    { type: "object", additionalProperties: { type: "string", ...values }, ...given({ minProperties, propertyNames }) },
    options,
    toTextMap,
  );
}

/** The same field, of paths of files: see `namesFile`. */
export function fileNames<T>(field: Field<T>): Field<T> {
  return { ...field, namesFile: true };
}

export function integerMap<const O extends Options<Readonly<Record<string, number>>> & Pick<FieldSchema, "minimum">>(
  summary: string,
  options?: O,
): Field<Present<Readonly<Record<string, number>>, O>> {
  const { minimum } = options ?? {};
  const schema = { type: "object", additionalProperties: { type: "integer", ...given({ minimum }) } } as const;
  return field(summary, schema, options, toIntegerMap);
}

/** A text that never prints. In configuration, `<name>_file` gives the path of a file that holds it. */
export function secret<const O extends { required?: boolean }>(
  summary: string,
  options?: O,
): Field<Present<Secret, O>> {
  return { ...field(summary, { type: "string" }, options, scalarToText), secret: true, mayBeInFile: true };
}

/** A text of many lines (a template, certificates). In configuration, `<name>_file` gives the path of a file that holds it. */
export function longText(summary: string): Field<string | undefined> {
  return { ...field(summary, { type: "string", minLength: 1 }, undefined, scalarToText), mayBeInFile: true };
}

/** A map whose values never print: headers that may hold credentials. */
export function secretMap<const O extends { required?: boolean }>(
  summary: string,
  options?: O,
): Field<Present<Readonly<Record<string, Secret>>, O>> {
  const schema = { type: "object", additionalProperties: { type: "string" } } as const;
  return { ...field(summary, schema, options, toTextMap), secret: true };
}

function field<T>(
  summary: string,
  schema: FieldSchema,
  options: Options<Default> | undefined,
  tolerate: (value: unknown) => unknown,
): Field<T> {
  return {
    summary,
    schema,
    required: options?.required ?? false,
    default: options?.default,
    aliases: options?.aliases ?? [],
    secret: false,
    tolerate,
  };
}

function given<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function scalarToText(value: unknown): unknown {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : value;
}

function textToInteger(value: unknown): unknown {
  return typeof value === "string" && /^-?\d{1,15}$/.test(value.trim()) ? Number(value) : value;
}

function textToFlag(value: unknown): unknown {
  const known: Readonly<Record<string, boolean>> = { true: true, false: false };
  return typeof value === "string" ? (known[value.trim().toLowerCase()] ?? value) : value;
}

function toTextList(value: unknown): unknown {
  return Array.isArray(value) ? value.map(scalarToText) : value;
}

function toIntegerMap(value: unknown): unknown {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, textToInteger(entry)]))
    : value;
}

/** An empty YAML value (`suspicious:`) is the empty text. */
function toTextMap(value: unknown): unknown {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, entry === null ? "" : scalarToText(entry)]))
    : value;
}
