import { hash } from "node:crypto";
import { fileSettings } from "../config/checks.ts";
import { valueAt } from "../config/given.ts";
import { type LoadOptions, loadConfig } from "../config/load.ts";
import { atStartOnly, type Config } from "../config/schema.ts";
import { readRules } from "../rules/load.ts";
import { remarksOn } from "../rules/named-files.ts";
import type { EffectiveRule, RuleSet } from "../rules/rule.ts";
import { describeRemark, type Problem } from "../schema/problem.ts";
import { maskLogins, Secret } from "../schema/secret.ts";
import { type Contents, createReader, digestOf } from "./contents.ts";
import { unusableNotifiers } from "./notifiers.ts";
import { readTls, type TlsFiles } from "./tls.ts";

/** The configuration, the rules and the certificates, as they were loaded together. Checked, and not changed any more. */
export interface Settings {
  readonly config: Config;
  readonly rules: RuleSet;
  readonly rulesFiles: readonly string[];
  /** Undefined where HTTP is served. */
  readonly tls: TlsFiles | undefined;
  /** The key or configuration for Google Cloud, as the file held it. */
  readonly googleKey: Secret | undefined;
  /** What the files hold that are read at start only, by the settings that name them. */
  readonly startFiles: Readonly<Record<string, Secret>>;
  /** What loads and does not what its author may think, for the log. */
  readonly remarks: readonly Remark[];
  /** SHA-256 of what is loaded, without the secrets in it: whoever may see it could try out words until it fits. */
  readonly hash: string;
}

export interface Remark {
  readonly remark: string;
  readonly message: string;
}

/** Either the settings, or the Problems that keep them from loading; and the files that were read for it. */
export type SettingsReading = Origin &
  (
    | { readonly settings: Settings; readonly problems: readonly [] }
    | { readonly settings: undefined; readonly problems: readonly Problem[] }
  );

export type LoadedSettings = Extract<SettingsReading, { readonly problems: readonly [] }>;

export interface Origin {
  readonly contents: Contents;
  /** Of the contents, secrets and all: not to be shown. */
  readonly digest: string;
}

export interface SettingsOptions extends LoadOptions {
  /** In place of the configuration's `rules_files`, where there are any. */
  readonly rulesFiles: readonly string[];
}

/** Loads all that the server works by, at start and again later. `known` is what some of the files hold. */
export async function loadSettings(options: SettingsOptions, known?: Contents): Promise<SettingsReading> {
  const { readFile, contents } = createReader(options.readFile, known);
  const found = await load({ ...options, readFile });
  return { ...found, contents, digest: digestOf(contents) };
}

type Found =
  | { readonly settings: Settings; readonly problems: readonly [] }
  | { readonly settings: undefined; readonly problems: readonly Problem[] };

async function load(options: SettingsOptions): Promise<Found> {
  const { readFile, catalogue } = options;
  const reading = loadConfig(options);
  if (reading.config === undefined) {
    return refused(reading.problems);
  }
  const { config } = reading;
  const rulesFiles = options.rulesFiles.length > 0 ? options.rulesFiles : config.rules_files;
  const { tls, problems } = readTls(config.tls, readFile);
  const ruled = await readRules(rulesFiles, catalogue, async (path) => readFile(path));
  if (ruled.rules === undefined || problems.length > 0) {
    return refused([...problems, ...ruled.problems]);
  }
  const { rules, effective } = ruled;
  const unusable = await unusableNotifiers(rules, config, { files: rulesFiles, readFile });
  if (unusable.length > 0) {
    return refused(unusable);
  }
  const remarks = [
    ...reading.remarks.map((remark) => ({ remark, message: "setting without effect" })),
    ...unusableOutputs(rules, config).map((remark) => ({ remark, message: "output without its settings" })),
    ...(await remarksOn(ruled.files)).map((remark) => ({
      remark: describeRemark(remark),
      message: "file of a rule cannot be read",
    })),
  ];
  const googleKey = googleKeyOf(options, config);
  const startFiles = startFilesOf(config, readFile);
  const shown = hash("sha256", JSON.stringify(withoutSecrets({ config, rules, effective, tls })));
  return { settings: { config, rules, rulesFiles, tls, googleKey, startFiles, remarks, hash: shown }, problems: [] };
}

function refused(problems: readonly Problem[]): Found {
  return { settings: undefined, problems };
}

/** Its library reads the file by itself, and says what is wrong with it when it is used; here it is only watched. */
function googleKeyOf({ env, readFile }: SettingsOptions, { gcp }: Config): Secret | undefined {
  const path = gcp.credentials_path ?? env["GOOGLE_APPLICATION_CREDENTIALS"];
  try {
    return path === undefined ? undefined : new Secret(readFile(path));
  } catch {
    return undefined;
  }
}

function startFilesOf(config: Config, readFile: SettingsOptions["readFile"]): Settings["startFiles"] {
  const names = Object.entries(fileSettings)
    .filter(([section]) => atStartOnly.some((name) => name === section.split(".")[0]))
    .flatMap(([section, settings]) => settings.map((setting) => [...section.split("."), setting]));
  return Object.fromEntries(
    names.flatMap((name) => {
      const path = valueAt(config, name);
      return typeof path === "string" ? [[name.join("."), new Secret(readFile(path))]] : [];
    }),
  );
}

interface Loaded {
  readonly config: Config;
  readonly rules: RuleSet;
  readonly effective: readonly EffectiveRule[];
  readonly tls: TlsFiles | undefined;
}

/** A `Secret` is a mask in JSON, and so is who logs in by a URL. Which pod this is says nothing of the settings: replicas that have the same have one hash. */
function withoutSecrets({ config: { self: _, ...config }, rules: { rules }, effective, tls }: Loaded): unknown {
  return {
    config: JSON.stringify(config, maskLogins),
    tls,
    rules: effective.map((rule, position) => ({
      ...rule,
      actions: rules[position]?.actions.map(({ name, description, actionner, contexts, output, ...rest }) => ({
        ...rest,
        name,
        description,
        actionner: actionner.id,
        contexts: contexts.map(({ id }) => id),
        output: output && { target: output.output.id, parameters: output.parameters },
      })),
    })),
  };
}

/** It still starts, as Talon does: of such a rule the other actions work. */
function unusableOutputs({ rules }: RuleSet, { minio }: Config): readonly string[] {
  return rules.flatMap(({ name, actions }) =>
    actions
      .filter(({ output }) => output?.output.uses.includes("minio") && minio.endpoint === undefined)
      .map(
        ({ name: action, output }) =>
          `rule "${name}": action "${action}" will fail, for ${output?.output.id} lacks minio.endpoint in the configuration`,
      ),
  );
}
