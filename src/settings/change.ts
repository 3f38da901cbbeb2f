import { atStartOnly, type switchedAtStartOnly } from "../config/schema.ts";
import { isSame } from "../schema/same.ts";
import type { Settings } from "./load.ts";
import type { TlsFiles } from "./tls.ts";

export interface Change {
  /** The wanted ones, but what is read at start only, which stays as it is. */
  readonly settings: Settings;
  /** The settings that therefore are not as wanted: `ledger.backlog_bytes`. */
  readonly restartNeeded: readonly string[];
}

/** What of the wanted settings can be in force from now on. */
export function changeOf(inForce: Settings, wanted: Settings): Change {
  const { tls, kept } = tlsOf(inForce.tls, wanted.tls);
  const stays = Object.fromEntries(atStartOnly.map((key) => [key, inForce.config[key]]));
  const config = { ...wanted.config, ...stays, self: inForce.config.self };
  const others = atStartOnly.flatMap((key) => differences(key, inForce.config[key], wanted.config[key]));
  const { startFiles } = inForce;
  const restartNeeded = new Set([...others, ...otherFiles(startFiles, wanted.startFiles), ...kept]);
  return { settings: { ...wanted, config, tls, startFiles }, restartNeeded: [...restartNeeded] };
}

/** The names of the settings that are not the same in both. */
function differences(name: string, one: unknown, other: unknown): readonly string[] {
  if (isSection(one) && isSection(other)) {
    const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
    return [...keys].flatMap((key) => differences(`${name}.${key}`, one[key], other[key]));
  }
  return isSame(one, other) ? [] : [name];
}

function otherFiles(inForce: Settings["startFiles"], wanted: Settings["startFiles"]): readonly string[] {
  const names = new Set([...Object.keys(inForce), ...Object.keys(wanted)]);
  return [...names].filter((name) => !isSame(inForce[name], wanted[name]));
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

interface TlsChange {
  readonly tls: TlsFiles | undefined;
  readonly kept: readonly (typeof switchedAtStartOnly)[number][];
}

/** The port speaks TLS, and asks for certificates of clients, from its start on or never; with which ones may change. */
function tlsOf(inForce: TlsFiles | undefined, wanted: TlsFiles | undefined): TlsChange {
  if (inForce === undefined || wanted === undefined) {
    return { tls: inForce, kept: inForce === wanted ? [] : ["tls.cert_file"] };
  }
  return (inForce.clientCa === undefined) === (wanted.clientCa === undefined)
    ? { tls: wanted, kept: [] }
    : { tls: { ...wanted, clientCa: inForce.clientCa }, kept: ["tls.client_ca_file"] };
}
