import type { Catalogue } from "../catalogue/catalogue.ts";
import type { Fields } from "../schema/field.ts";
import type { Problem } from "../schema/problem.ts";
import { compileFields, type FieldProblem, type FieldReading } from "../schema/read.ts";
import { fileProblem, problemAt, readYaml, type YamlDocument } from "../schema/yaml.ts";
import { crossCheck, type Readings, remarksOn, type SectionReading } from "./checks.ts";
import {
  type Given,
  gather,
  isMap,
  problemFrom,
  type Sources,
  unknownKeys,
  unknownVariables,
  unreadable,
  valueAt,
  withFileSettings,
} from "./given.ts";
import { type Config, type Section, sectionsOf } from "./schema.ts";

export interface LoadOptions {
  /** Of the configuration file; without it the environment and the defaults are all there is. */
  readonly path?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** UTF-8; throws where it cannot. */
  readonly readFile: (path: string) => string;
  readonly catalogue: Catalogue;
}

export type ConfigReading =
  | {
      readonly config: Config;
      /** Who gave each setting, by its dotted name; those not in it have their default. */
      readonly origins: ReadonlyMap<string, "file" | "environment">;
      /** Settings that were given and change nothing, in words for the log. */
      readonly remarks: readonly string[];
      readonly problems: readonly [];
    }
  | { readonly config: undefined; readonly problems: readonly Problem[] };

/**
 * Reads the configuration: defaults, over them the file, over them the environment. All that is wrong is told at once, to whoever asks
 * `/readyz`, too: no Problem quotes a text that was given, for a secret may stand in any of them.
 */
export function loadConfig({ path, env, readFile, catalogue }: LoadOptions): ConfigReading {
  const file = readDocument(path, readFile);
  if (file.problems.length > 0) {
    return { config: undefined, problems: file.problems };
  }

  const sources = { document: file.document, env, readFile };
  const sections = sectionsOf(catalogue);
  const readings: Readings = new Map(
    sections.map((section) => [section.path.join("."), readSection(section, sources)] as const),
  );
  const problems = [
    ...strayKeys(sections, sources),
    ...[...readings.values()].flatMap((reading) => reading.problems),
    ...unknownVariables(sections, env),
    ...crossCheck(readings, catalogue, sources),
  ];
  return problems.length > 0
    ? { config: undefined, problems: inOrder(problems) }
    : {
        config: assemble(readings, catalogue, sources),
        origins: originsOf(readings),
        remarks: remarksOn(readings),
        problems: [],
      };
}

function readDocument(
  path: string | undefined,
  readFile: LoadOptions["readFile"],
): { readonly document: YamlDocument | undefined; readonly problems: readonly Problem[] } {
  if (path === undefined) {
    return { document: undefined, problems: [] };
  }
  const content = contentOf(path, readFile);
  return "fault" in content
    ? { document: undefined, problems: [fileProblem(path, content.fault)] }
    : readYaml(path, content.text);
}

function contentOf(
  path: string,
  readFile: LoadOptions["readFile"],
): { readonly text: string } | { readonly fault: string } {
  try {
    return { text: readFile(path) };
  } catch (error) {
    return { fault: unreadable(error) };
  }
}

function readSection(section: Section, sources: Sources): SectionReading {
  const given = gather(section, sources);
  const missing = Object.entries(section.fields)
    .filter(([name, field]) => field.required && ![name, ...field.aliases].some((one) => given.origins.has(one)))
    .map(([name]) => name);
  const reading = given.origins.size === 0 ? defaultsOf(section.fields) : readGiven(section.fields, given.raw);
  const problems = [...given.problems, ...reading.problems.map((problem) => located(problem, given.origins, sources))];

  return { section, given, missing, problems, values: missing.length === 0 ? reading.values : undefined };
}

function readGiven(fields: Fields, raw: Given["raw"]): FieldReading<Fields> {
  return compileFields(withFileSettings(optional(fields)), { quoteTexts: false }).read(raw);
}

/** Most sections are not given at all: compiling their schemas to learn their defaults would cost each start 20 ms. */
function defaultsOf(fields: Fields): FieldReading<Fields> {
  const given = Object.entries(fields).filter(([, field]) => field.default !== undefined);
  return { values: Object.fromEntries(given.map(([name, field]) => [name, field.default])), problems: [] };
}

/** Whether something required is missing matters only where a notifier is used. */
function optional(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, { ...field, required: false }]));
}

function located(
  { path, message, hint, at }: FieldProblem,
  origins: SectionReading["given"]["origins"],
  sources: Sources,
): Problem {
  const [name, ...rest] = path;
  const origin = origins.get(String(name)) ?? { from: "file", path: [] };
  const place = origin.from === "file" ? { ...origin, path: [...origin.path, ...rest] } : origin;
  return problemFrom(place, sources, { message, hint, at });
}

/** Keys above the sections: at the top, and names under `notifiers`. */
function strayKeys(sections: readonly Section[], { document }: Sources): readonly Problem[] {
  if (document === undefined || !isMap(document.value)) {
    return [];
  }
  const top = sections.find(({ path }) => path.length === 0)?.fields ?? {};
  const names = new Set([...Object.keys(top), ...sections.flatMap(({ path: [name] }) => name ?? [])]);
  return [
    ...unknownKeys(document, [], { keys: Object.keys(document.value), known: names }),
    ...strayNotifiers(sections, document),
  ];
}

function strayNotifiers(sections: readonly Section[], document: YamlDocument): readonly Problem[] {
  const notifiers = valueAt(document.value, ["notifiers"]) ?? {};
  if (!isMap(notifiers)) {
    return [problemAt(document, ["notifiers"], { message: '"notifiers" must be a map of keys and values' })];
  }
  const known = new Set(sections.flatMap(({ path: [name, id] }) => (name === "notifiers" && id ? [id] : [])));
  return unknownKeys(document, ["notifiers"], { keys: Object.keys(notifiers), known });
}

/** As they stand in the file; what has no line comes last. */
function inOrder(problems: readonly Problem[]): readonly Problem[] {
  const last = Number.MAX_SAFE_INTEGER;
  return problems.toSorted((a, b) => (a.line ?? last) - (b.line ?? last) || (a.column ?? last) - (b.column ?? last));
}

function assemble(readings: Readings, catalogue: Catalogue, sources: Sources): Config {
  const all = [...readings.values()];
  const usable = all.filter(
    ({ section: { path }, values }) => path[0] === "notifiers" && catalogue.notifiers.has(path[1] ?? "") && values,
  );

  // Every section was read by the fields that Config is typed from.
  return {
    ...readings.get("")?.values,
    ...Object.fromEntries(
      all.flatMap(({ section: { path } }) => (path.length === 1 ? [[path[0], valuesAt(path, readings)]] : [])),
    ),
    notifiers: Object.fromEntries(usable.map(({ section: { path }, values }) => [path[1], values])),
    self: selfOf(sources),
  } as unknown as Config;
}

/** With those of the sections in it. */
function valuesAt(path: readonly string[], readings: Readings): Readonly<Record<string, unknown>> {
  const reading = readings.get(path.join("."));
  const inner = reading?.section.inner.map((name) => [name, valuesAt([...path, name], readings)] as const) ?? [];
  return { ...reading?.values, ...Object.fromEntries(inner) };
}

const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/** By the downward API; where the deployment does not set it, by what every pod has. */
function selfOf({ env, readFile }: Sources): Config["self"] {
  const mounted = contentOf(namespaceFile, readFile);
  const namespace = env["POD_NAMESPACE"] || ("text" in mounted ? mounted.text.trim() : undefined);
  return { namespace, pod: env["POD_NAME"] || (namespace === undefined ? undefined : env["HOSTNAME"]) };
}

function originsOf(readings: Readings): ReadonlyMap<string, "file" | "environment"> {
  return new Map(
    [...readings.values()].flatMap(({ section: { path, fields }, given: { origins } }) =>
      Object.entries(fields).flatMap(([name, { aliases }]) => {
        const written = [name, ...aliases].find((one) => origins.has(one));
        const origin = written === undefined ? undefined : origins.get(written);
        return origin === undefined ? [] : [[[...path, name].join("."), origin.from] as const];
      }),
    ),
  );
}
