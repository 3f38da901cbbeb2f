import { type Field, type Fields, text } from "../schema/field.ts";
import { faultOf } from "../schema/file-fault.ts";
import { didYouMean, type Problem } from "../schema/problem.ts";
import { unknownKey } from "../schema/read.ts";
import { fileProblem, type Path, problemAt, type YamlDocument } from "../schema/yaml.ts";
import type { Section } from "./schema.ts";

/** Where a configuration comes from. */
export interface Sources {
  /** Undefined where there is no file. */
  readonly document: YamlDocument | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** UTF-8; throws where it cannot. */
  readonly readFile: (path: string) => string;
}

/** Who gave a setting: the file, at a key, or an environment variable. */
export type Origin =
  | { readonly from: "file"; readonly path: Path }
  | { readonly from: "environment"; readonly variable: string };

/** What was written for one section, by the names of its settings; not yet checked. */
export interface Given {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly origins: ReadonlyMap<string, Origin>;
  readonly problems: readonly Problem[];
}

interface Written {
  /** Undefined for a credential that is empty or whose file is at fault: it was given, and there is nothing to check. */
  readonly value: unknown;
  readonly origin: Origin;
}

/** The setting that names the file of a secret. */
export function fileSettingOf(name: string): string {
  return `${name}_file`;
}

/** The section's settings, and for each secret text the setting that names its file. */
export function withFileSettings(fields: Fields): Fields {
  const files = Object.entries(fields)
    .filter(([, { mayBeInFile }]) => mayBeInFile)
    .map(([name, { summary }]) => [fileSettingOf(name), text(`File that holds it: ${summary}`)] as const);
  return { ...fields, ...Object.fromEntries(files) };
}

/** `NOTIFIERS_WEBHOOK_URL` */
export function variableOf(path: Path, name: string): string {
  return [...path, name].join("_").toUpperCase();
}

/** Reads one section from the file and the environment; the environment wins, setting by setting. */
export function gather(section: Section, sources: Sources): Given {
  const inFile = writtenInFile(section, sources.document);
  const inEnvironment = writtenInEnvironment(section, sources.env);
  const written = new Map([...withoutOverridden(section, inFile.written, inEnvironment), ...inEnvironment]);
  const empty = emptyIn(written);
  const read = readSecretFiles(section, new Map([...written, ...empty]), sources);

  return {
    raw: Object.fromEntries(
      [...read.written].flatMap(([name, { value }]) => (value === undefined ? [] : [[name, value]])),
    ),
    origins: new Map([...read.written].map(([name, { origin }]) => [name, origin])),
    problems: [
      ...inFile.problems,
      ...[...empty].map(([name, { origin }]) => emptyProblem(name, origin, sources)),
      ...read.problems,
    ],
  };
}

/** Those of a credential: others that are empty were left out. */
function emptyIn(written: ReadonlyMap<string, Written>): ReadonlyMap<string, Written> {
  return new Map(
    [...written]
      .filter(([, { value }]) => isEmpty(value))
      .map(([name, { origin }]) => [name, { value: undefined, origin }]),
  );
}

function emptyProblem(name: string, origin: Origin, sources: Sources): Problem {
  const fault =
    origin.from === "file"
      ? { message: `"${name}" is empty`, hint: "give it a value, or take the key out" }
      : { message: "it is empty", hint: "give it a value, or take the variable out" };
  return problemFrom(origin, sources, { ...fault, at: "key" });
}

/** The Problem with what was written there. */
export function problemFrom(
  origin: Origin,
  sources: Sources,
  fault: { readonly message: string; readonly hint?: string | undefined; readonly at?: "key" | "value" },
): Problem {
  if (origin.from === "environment") {
    return fileProblem(`environment: ${origin.variable}`, fault.message, fault.hint);
  }
  return sources.document === undefined
    ? fileProblem("configuration", fault.message, fault.hint)
    : problemAt(sources.document, origin.path, fault);
}

function writtenInFile(
  { path, fields, inner }: Section,
  document: YamlDocument | undefined,
): { readonly written: ReadonlyMap<string, Written>; readonly problems: readonly Problem[] } {
  const value = valueAt(document?.value, path);
  if (document === undefined || value === undefined) {
    return { written: new Map(), problems: [] };
  }
  if (value === null) {
    return { written: new Map(), problems: emptySection(path, document) };
  }
  if (!isMap(value)) {
    const what = path.length === 0 ? "the configuration" : `"${path.join(".")}"`;
    const message = `${what} must be a map of keys and values`;
    return { written: new Map(), problems: [problemAt(document, path, { message })] };
  }

  const known = new Set(Object.entries(withFileSettings(fields)).flatMap(([name, { aliases }]) => [name, ...aliases]));
  const entries = Object.entries(value).filter(([, entry]) => !isEmpty(entry) || holdsCredentials(path));
  return {
    written: new Map(
      entries
        .filter(([key]) => known.has(key))
        .map(([key, entry]) => [key, { value: entry, origin: { from: "file", path: [...path, key] } }]),
    ),
    problems:
      path.length === 0
        ? []
        : unknownKeys(document, path, { keys: Object.keys(value), known: new Set([...known, ...inner]) }),
  };
}

/** Whoever wrote the key `auth` believes that not everyone may send events. */
function emptySection(path: Path, document: YamlDocument): readonly Problem[] {
  const hint = "name who may send events, or write auth: {} for everyone";
  return path.join(".") === "auth" ? [problemAt(document, path, { message: '"auth" is empty', hint, at: "key" })] : [];
}

/** Problems with the keys of a map that are not among those known. */
export function unknownKeys(
  document: YamlDocument,
  path: Path,
  { keys, known }: { readonly keys: readonly string[]; readonly known: ReadonlySet<string> },
): readonly Problem[] {
  return keys
    .filter((key) => !known.has(key))
    .map((key) => {
      const [name = ""] = /^[\w.-]*/.exec(key) ?? [];
      const fault =
        name === key
          ? unknownKey([key], known)
          : { message: `unknown key "${name}…"`, hint: "between a key and its value stand a colon and a blank" };
      return problemAt(document, [...path, key], { ...fault, at: "key" });
    });
}

function writtenInEnvironment({ path, fields }: Section, env: Sources["env"]): ReadonlyMap<string, Written> {
  const settings = Object.entries(withFileSettings(fields)).flatMap(([name, field]) =>
    [name, ...field.aliases].map((one) => ({ name: one, field, variable: variableOf(path, one) })),
  );
  return new Map(
    settings.flatMap(({ name, field, variable }) => {
      const value = env[variable];
      return value === undefined || (value === "" && !holdsCredentials(path)) || isAnothers(variable, value, env)
        ? []
        : [[name, { value: fromText(field, value), origin: { from: "environment", variable } }] as const];
    }),
  );
}

/**
 * A deployment often writes a setting and leaves it empty, which gives nothing. A credential that others have to show is a mistake then:
 * it would leave a door open that its owner believes shut.
 */
function holdsCredentials([name]: Path): boolean {
  return name === "auth" || name === "api";
}

function isEmpty(value: unknown): boolean {
  return value === null || value === "";
}

/**
 * Variables of our names that mean something else: Kubernetes sets `OTEL_COLLECTOR_PORT=tcp://…` where there is a Service
 * `otel-collector`; with a web identity (IRSA), `AWS_ROLE_ARN` is the role the SDK takes on by itself.
 */
function isAnothers(variable: string, value: string, env: Sources["env"]): boolean {
  return (
    (variable.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value)) ||
    (variable === "AWS_ROLE_ARN" && env["AWS_WEB_IDENTITY_TOKEN_FILE"] !== undefined)
  );
}

/** Lists by comma or blank, maps as `name=value,name=value`, flags also as `1` and `0`. */
function fromText({ schema }: Field, value: string): unknown {
  switch (schema.type) {
    case "array":
      return value.split(/[,\s]+/).filter((item) => item !== "");
    case "object":
      return pairsOf(value) ?? value;
    case "boolean":
      return { "1": true, "0": false }[value.trim()] ?? value;
    default:
      return value;
  }
}

function pairsOf(value: string): Readonly<Record<string, string>> | undefined {
  const pairs = value.split(",").map((pair) => /^\s*([^=\s]+)\s*=(.*)$/.exec(pair));
  return pairs.includes(null)
    ? undefined
    : Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? "", (pair?.[2] ?? "").trim()]));
}

/** A variable replaces the file's setting under each of its names: aliases, and the file of a secret. */
function withoutOverridden(
  { fields }: Section,
  inFile: ReadonlyMap<string, Written>,
  inEnvironment: ReadonlyMap<string, Written>,
): ReadonlyMap<string, Written> {
  const overridden = Object.entries(fields)
    .map(([name, { aliases }]) => [name, ...aliases, fileSettingOf(name)])
    .filter((names) => names.some((name) => inEnvironment.has(name)))
    .flat();
  return new Map([...inFile].filter(([name]) => !overridden.includes(name)));
}

function readSecretFiles(
  { fields }: Section,
  written: ReadonlyMap<string, Written>,
  sources: Sources,
): { readonly written: ReadonlyMap<string, Written>; readonly problems: readonly Problem[] } {
  const result = new Map(written);
  const problems: Problem[] = [];

  for (const [name] of Object.entries(fields).filter(([, { mayBeInFile }]) => mayBeInFile)) {
    const file = written.get(fileSettingOf(name));
    if (file === undefined) {
      continue;
    }
    result.delete(fileSettingOf(name));
    const content = written.has(name) ? { fault: bothGiven(name) } : secretIn(file.value, name, sources);
    if ("fault" in content && file.value !== undefined) {
      problems.push(problemFrom(file.origin, sources, { message: content.fault }));
    }
    result.set(name, { value: "secret" in content ? content.secret : undefined, origin: file.origin });
  }
  return { written: result, problems };
}

function bothGiven(name: string): string {
  return `"${name}" and "${fileSettingOf(name)}" are both given; give one of them`;
}

/** The content of a secret's file without the final line break, or what is wrong. */
function secretIn(
  path: unknown,
  name: string,
  { readFile }: Sources,
): { readonly secret: string } | { readonly fault: string } {
  if (typeof path !== "string") {
    return { fault: `"${fileSettingOf(name)}" must be the path of a file` };
  }
  try {
    const content = readFile(path).replace(/\r?\n$/, "");
    return content === "" ? { fault: "the file is empty" } : { secret: content };
  } catch (error) {
    return { fault: unreadable(error) };
  }
}

/** Why a file cannot be read, for a Problem. */
export function unreadable(error: unknown): string {
  return `the file cannot be read: ${faultOf(error) ?? reasonOf(error)}`;
}

/** `EMFILE` says more to an operator than the sentence around it. */
export function reasonOf(error: unknown): string {
  const code = (error as { readonly code?: unknown }).code;
  return typeof code === "string" ? code : String(error);
}

/** Variables that can be nobody's but ours, and name no setting. */
export function unknownVariables(sections: readonly Section[], env: Sources["env"]): readonly Problem[] {
  const known = new Set(
    sections.flatMap(({ path, fields }) =>
      Object.entries(withFileSettings(fields)).flatMap(([name, { aliases }]) =>
        [name, ...aliases].map((one) => variableOf(path, one)),
      ),
    ),
  );
  return Object.keys(env)
    .filter((variable) => /^(NOTIFIERS|DEDUPLICATION)_/.test(variable) && !known.has(variable))
    .map((variable) => fileProblem(`environment: ${variable}`, "no such setting", didYouMean(variable, known)));
}

export function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (parent, key) => (isMap(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined),
    value,
  );
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
