import type { Catalogue, Notifier, SettingFault } from "../catalogue/catalogue.ts";
import { didYouMean, type Problem } from "../schema/problem.ts";
import { type Given, type Origin, problemFrom, type Sources, unreadable } from "./given.ts";
import { type Section, withoutEffect } from "./schema.ts";

/** One section, read. */
export interface SectionReading {
  readonly section: Section;
  readonly given: Given;
  /** Required settings that nobody gave. */
  readonly missing: readonly string[];
  /** Undefined where there are problems or something is missing. */
  readonly values: Readonly<Record<string, unknown>> | undefined;
  readonly problems: readonly Problem[];
}

export type Readings = ReadonlyMap<string, SectionReading>;

/** What is wrong between settings that are each right. */
export function crossCheck(readings: Readings, catalogue: Catalogue, sources: Sources): readonly Problem[] {
  return [
    ...pairs.flatMap((pair) => checkPair(readings, pair, sources)),
    ...checkFiles(readings, sources),
    ...checkDefaultNotifiers(readings, catalogue, sources),
    ...checkActionners(readings, catalogue, sources),
    ...checkNotifiers(readings, catalogue, sources),
  ];
}

/** The settings that somebody gave and that change nothing, in words for the log. */
export function remarksOn(readings: Readings): readonly string[] {
  return Object.entries(withoutEffect).flatMap(([name, reason]) =>
    isOn(readings, name) ? [`${name} has no effect: ${reason}`] : [],
  );
}

interface Pair {
  readonly section: string;
  readonly one: string;
  readonly needs: string;
}

const pairs: readonly Pair[] = [
  { section: "tls", one: "cert_file", needs: "key_file" },
  { section: "tls", one: "key_file", needs: "cert_file" },
  { section: "tls", one: "client_ca_file", needs: "cert_file" },
  { section: "auth", one: "basic_user", needs: "basic_password" },
  { section: "auth", one: "basic_password", needs: "basic_user" },
  { section: "ledger.nats", one: "user", needs: "password" },
  { section: "ledger.nats", one: "password", needs: "user" },
  { section: "ledger.nats", one: "tls_cert_file", needs: "tls_key_file" },
  { section: "ledger.nats", one: "tls_key_file", needs: "tls_cert_file" },
  { section: "aws", one: "access_key", needs: "secret_key" },
  { section: "aws", one: "secret_key", needs: "access_key" },
  { section: "aws", one: "external_id", needs: "role_arn" },
  { section: "minio", one: "endpoint", needs: "access_key" },
  { section: "minio", one: "endpoint", needs: "secret_key" },
];

function checkPair(readings: Readings, { section, one, needs }: Pair, sources: Sources): readonly Problem[] {
  const origins = readings.get(section)?.given.origins;
  const origin = origins?.get(one);
  return origin === undefined || origins?.has(needs)
    ? []
    : [problemFrom(origin, sources, { message: `${section}.${one} needs ${section}.${needs} beside it`, at: "key" })];
}

/** By section: settings that name a file which must be there. */
export const fileSettings: Readonly<Record<string, readonly string[]>> = {
  tls: ["cert_file", "key_file", "client_ca_file"],
  otel: ["collector_ca_file"],
  "ledger.nats": ["credentials_file", "tls_ca_file", "tls_cert_file", "tls_key_file"],
};

function checkFiles(readings: Readings, sources: Sources): readonly Problem[] {
  return Object.entries(fileSettings).flatMap(([section, names]) => {
    const reading = readings.get(section);
    return names.flatMap((name) => {
      const origin = reading?.given.origins.get(name);
      const path = reading?.values?.[name];
      const fault = typeof path === "string" ? readingFault(path, sources) : undefined;
      return origin === undefined || fault === undefined ? [] : [problemFrom(origin, sources, { message: fault })];
    });
  });
}

function readingFault(path: string, { readFile }: Sources): string | undefined {
  try {
    readFile(path);
    return undefined;
  } catch (error) {
    return unreadable(error);
  }
}

function checkDefaultNotifiers(readings: Readings, catalogue: Catalogue, sources: Sources): readonly Problem[] {
  const general = readings.get("");
  const origin = general?.given.origins.get("default_notifiers");
  const names = general?.values?.["default_notifiers"];
  if (origin === undefined || !Array.isArray(names)) {
    return [];
  }
  return names.flatMap((name: string, index) => {
    const fault = notifierFault({ name, index }, readings, catalogue);
    return fault === undefined ? [] : [problemFrom(within(origin, index), sources, fault)];
  });
}

function checkActionners(readings: Readings, { actionners }: Catalogue, sources: Sources): readonly Problem[] {
  const general = readings.get("");
  const origin = general?.given.origins.get("actionner_concurrency");
  const limits = general?.values?.["actionner_concurrency"];
  if (origin === undefined || typeof limits !== "object" || limits === null) {
    return [];
  }
  return Object.keys(limits)
    .filter((id) => !actionners.has(id))
    .map((id) =>
      problemFrom(within(origin, id), sources, {
        message: `unknown actionner "${id}"`,
        hint: didYouMean(id, actionners.keys()) ?? `known: ${listed(actionners.keys())}`,
        at: "key",
      }),
    );
}

function checkNotifiers(readings: Readings, { notifiers }: Catalogue, sources: Sources): readonly Problem[] {
  return [...notifiers.values()].flatMap((notifier) => {
    const { values, given } = readings.get(`notifiers.${notifier.id}`) ?? {};
    return values === undefined || given === undefined || given.origins.size === 0
      ? []
      : (notifier.check?.(values) ?? []).map((fault) => settingProblem(fault, notifier, given.origins, sources));
  });
}

function settingProblem(
  { setting, key, message }: SettingFault,
  { id, settings }: Notifier,
  origins: Given["origins"],
  sources: Sources,
): Problem {
  const names = [setting, ...(settings[setting]?.aliases ?? [])];
  const written = names.find((name) => origins.has(name)) ?? "";
  const origin = origins.get(written) ?? { from: "file", path: ["notifiers", id] };
  const place = key === undefined ? origin : within(origin, key);
  return problemFrom(place, sources, { message, at: settings[setting]?.secret ? "key" : "value" });
}

function notifierFault(
  { name, index }: { readonly name: string; readonly index: number },
  readings: Readings,
  { notifiers }: Catalogue,
): { readonly message: string; readonly hint?: string | undefined } | undefined {
  if (!notifiers.has(name)) {
    return {
      message: `"default_notifiers[${index}]" is no known notifier`,
      hint: didYouMean(name, notifiers.keys()) ?? `known: ${listed(notifiers.keys())}`,
    };
  }
  const missing = readings.get(`notifiers.${name}`)?.missing ?? [];
  return missing.length === 0
    ? undefined
    : { message: `notifier "${name}" needs ${missing.map((one) => `notifiers.${name}.${one}`).join(", ")}` };
}

/** Of the setting's list or map. */
function within(origin: Origin, step: string | number): Origin {
  return origin.from === "file" ? { from: "file", path: [...origin.path, step] } : origin;
}

function listed(names: Iterable<string>): string {
  return [...names].join(", ");
}

/** Somebody gave the setting and did not switch it off. */
function isOn(readings: Readings, name: string): boolean {
  const dot = name.lastIndexOf(".");
  const setting = name.slice(dot + 1);
  const reading = readings.get(name.slice(0, Math.max(dot, 0)));
  return reading?.given.origins.has(setting) === true && reading.values?.[setting] !== false;
}
