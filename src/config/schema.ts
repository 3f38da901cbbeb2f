import type { Catalogue } from "../catalogue/catalogue.ts";
import {
  choice,
  type Field,
  type Fields,
  flag,
  integer,
  integerMap,
  secret,
  text,
  textList,
  type ValuesOf,
} from "../schema/field.ts";
import type { Secret } from "../schema/secret.ts";
import { logFormats, logLevels } from "../telemetry/logs.ts";
import { otlpProtocols } from "../telemetry/otlp-protocols.ts";

/** The settings at the top of the file. */
export const generalSettings = {
  listen_address: text("Address that receives the events", { default: "0.0.0.0" }),
  listen_port: integer("Port that receives the events; 0 takes any that is free", {
    default: 2803,
    minimum: 0,
    maximum: 65535,
  }),
  max_body_bytes: integer("Largest event that is read, after it is inflated", {
    default: 1_048_576,
    minimum: 1024,
    maximum: 67_108_864,
  }),
  max_connections: integer("Connections open at the same time", { default: 1024, minimum: 1, maximum: 65_536 }),
  rules_files: textList("Rules files, in order: a later one overrides or extends an earlier one", {
    default: ["/etc/falco-talon/rules.yaml"],
    minItems: 1,
  }),
  watch_rules: flag("Load configuration, rules, secrets and certificates again when their files change", {
    default: true,
  }),
  default_notifiers: textList("Notifiers of all rules, in addition to a rule's own", { default: [] }),
  protected_namespaces: textList(
    "Namespaces that destructive actions stay out of; Hallux's own is always one of them",
    { default: ["kube-system", "kube-public", "kube-node-lease"] },
  ),
  kubeconfig: text("Kubeconfig file; needed only outside a cluster"),
  action_timeout_seconds: integer("Time an action may take, unless its actionner asks for more", {
    default: 30,
    minimum: 1,
    maximum: 3600,
  }),
  action_retry_seconds: integer(
    "Time from the planning of a response in which its actions are tried again, where the fault may pass (throttled, unavailable, timeout, conflict)",
    { default: 900, minimum: 0, maximum: 86_400 },
  ),
  concurrency: integer("Actions at the same time", { default: 256, minimum: 1, maximum: 4096 }),
  actionner_concurrency: integerMap(
    "Actions of one actionner at the same time, by its id; of those not named here a quarter of `concurrency`, of those that hold megabytes 8",
    { default: {}, minimum: 1 },
  ),
  shutdown_delay_seconds: integer(
    "Time in which a stopping Hallux still takes events while /readyz says no, so that senders learn of it",
    { default: 3, minimum: 0, maximum: 3600 },
  ),
  shutdown_grace_seconds: integer("Time that running actions get to end when Hallux is told to stop", {
    default: 20,
    minimum: 0,
    maximum: 3600,
  }),
  log_format: choice("`text` and `color` for people, `json` for machines", logFormats, { default: "color" }),
  log_level: choice("The least that is logged", logLevels, { default: "info" }),
  print_all_events: flag("Log every event, not only those that a rule matches", { default: false }),
} satisfies Fields;

interface SectionOf<F extends Fields> {
  readonly summary: string;
  readonly fields: F;
}

export const ledgerDrivers = ["sqlite", "nats"] as const;

/** The groups of settings, by their key in the file; `ledger.retention` is the key `retention` in `ledger`. */
export const sections = {
  auth: section("Who may send events: any of these is enough, and without any everyone may", {
    bearer_token: filledSecret("Accepts `Authorization: Bearer …`", "^[!-~]([ -~]*[!-~])?$"),
    basic_user: text("Accepts `Authorization: Basic …` of this user", { minLength: 1 }),
    basic_password: filledSecret("The user's password"),
    path_secret: filledSecret(
      "Accepts events at `POST /<secret>`; the way for Falco, which sends no headers",
      "^[A-Za-z0-9._~-]+$",
    ),
  }),
  api: section("Who may read what Hallux did: `hallux responses` and `/api/v1`", {
    token: filledSecret(
      "Accepts `Authorization: Bearer …`; without it Hallux makes a token and keeps it in `api-token` in the ledger's directory",
      "^[!-~]+$",
    ),
  }),
  tls: section("Serves HTTPS when both files are given", {
    cert_file: text("Certificate chain, PEM"),
    key_file: text("Private key, PEM"),
    client_ca_file: text("Authorities of client certificates, PEM: accepts senders with a certificate of theirs"),
  }),
  timeouts: section("Patience with senders", {
    headers_seconds: integer("Time to send the headers of a request", { default: 10, minimum: 1, maximum: 3600 }),
    request_seconds: integer("Time to send a whole request", { default: 30, minimum: 1, maximum: 3600 }),
    idle_seconds: integer("Time that a connection stays open between requests; Falcosidekick keeps its for 90", {
      default: 120,
      minimum: 1,
      maximum: 3600,
    }),
  }),
  deduplication: section("What counts as a repeated event", {
    time_window_seconds: integer("Time in which a repeated event is not acted on again; 0 switches it off", {
      default: 5,
      minimum: 0,
      maximum: 86_400,
    }),
    leader_election: flag("Elect a leader among the replicas", { default: true }),
  }),
  ledger: section("The record of events and responses", {
    driver: choice(
      "`sqlite`: files of this Hallux alone; `nats`: NATS JetStream, shared by any number of replicas",
      ledgerDrivers,
      {
        default: "sqlite",
      },
    ),
    path: text(
      "Directory of the files; by default STATE_DIRECTORY, as systemd gives it, else hallux in XDG_STATE_HOME or ~/.local/state",
      { minLength: 1, pattern: "^(?!:memory:$)" },
    ),
    backlog_bytes: integer("Accepted events that wait, at most; beyond it senders are answered 503", {
      default: 134_217_728,
      minimum: 1_048_576,
    }),
  }),
  "ledger.retention": section("How long responses that have ended stay on record; events that wait never go", {
    age_hours: integer("Hours", { default: 168, minimum: 1, maximum: 87_600 }),
    bytes: integer("Size of what is on record, at most: beyond it the oldest go first", {
      default: 1_073_741_824,
      minimum: 16_777_216,
    }),
  }),
  "ledger.nats": section("Where JetStream is, with `ledger.driver: nats`", {
    servers: textList("URLs of the servers", { default: ["nats://127.0.0.1:4222"], minItems: 1 }),
    credentials_file: text("Credentials file (`.creds`) of a user"),
    user: text("User"),
    password: secret("The user's password"),
    token: secret("Token, where the server wants one"),
    tls_ca_file: text("Authorities of the servers' certificates, PEM"),
    tls_cert_file: text("Certificate that Hallux shows, PEM"),
    tls_key_file: text("Its private key, PEM"),
    prefix: text("First part of the names of streams and subjects: one for each Hallux that shares the servers", {
      default: "hallux",
      pattern: "^[A-Za-z0-9_-]{1,32}$",
    }),
    replicas: integer("Servers that keep each record", { default: 1, minimum: 1, maximum: 5 }),
    domain: text("JetStream domain"),
  }),
  aws: section("Credentials for AWS; what is absent, the SDK finds as it always does", {
    region: text("Region"),
    access_key: text("Access key id; with it goes secret_key"),
    secret_key: secret("Secret access key"),
    role_arn: text("Role to assume"),
    external_id: secret("External id, where the role asks for one"),
  }),
  gcp: section("Credentials for Google Cloud", {
    region: text("Region"),
    credentials_path: text(
      "Key of a service account, or configuration of workload identity federation; by default GOOGLE_APPLICATION_CREDENTIALS, else the metadata server",
    ),
  }),
  minio: section("Where MinIO is", {
    endpoint: text("Host and port: `minio.storage:9000`", { pattern: "^[A-Za-z0-9.:_\\[\\]-]+$" }),
    access_key: text("Access key"),
    secret_key: secret("Secret key"),
    use_ssl: flag("Connect by HTTPS", { default: false }),
    region: text("Region of the server, where it has one", { default: "us-east-1", pattern: "^[A-Za-z0-9-]+$" }),
  }),
  otel: section("OpenTelemetry; metrics are always on `GET /metrics`", {
    traces_enabled: flag("Send traces to the collector", { default: false }),
    metrics_enabled: flag("Send metrics to the collector, every 30 seconds", { default: false }),
    protocol: choice("`grpc`: OTLP over gRPC; `http`: OTLP over HTTP, protobuf", otlpProtocols, { default: "grpc" }),
    collector_endpoint: text("Host of the collector, without its port", {
      default: "localhost",
      pattern: "^([A-Za-z0-9._-]+|\\[?[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\\]?)$",
    }),
    collector_port: integer("Port of the collector; by default 4317, with `protocol: http` 4318", {
      minimum: 1,
      maximum: 65535,
    }),
    collector_use_insecure_grpc: flag("Connect to the collector without TLS, whatever the protocol", {
      default: false,
    }),
    collector_ca_file: text("Authorities of the collector's certificate, PEM"),
    authorization: filledSecret("Header `Authorization` for the collector, whole: `Bearer …`", "^[ -~]+$"),
    timeout: integer("Seconds a delivery may take", { default: 10, minimum: 1, maximum: 3600 }),
    traces_sample_percent: integer("Of the events, those that are traced; all replicas choose the same", {
      default: 100,
      minimum: 1,
      maximum: 100,
    }),
    falcosidekick_traces: flag(
      "Falcosidekick sends its traces to the same place (its output `otlp.traces`): link each event to its trace there",
      { default: false },
    ),
  }),
} as const satisfies Record<string, SectionOf<Fields>>;

/**
 * Settings, and sections with all that is in them, that are read at start only: a reload leaves them as they are and says so. All
 * others are in force as soon as they are loaded.
 */
export const atStartOnly = [
  "listen_address",
  "listen_port",
  "kubeconfig",
  "log_format",
  "deduplication",
  "ledger",
  "otel",
] as const satisfies readonly (keyof typeof generalSettings | keyof typeof sections)[];

/** Settings that can be changed while Hallux runs, but not given or taken away. */
export const switchedAtStartOnly = ["tls.cert_file", "tls.client_ca_file"] as const;

/** Settings that load and change nothing in this version, and why. */
export const withoutEffect: Readonly<Record<string, string>> = {
  "deduplication.leader_election": "Hallux needs no leader",
  "gcp.region": "actions and outputs say where their function or bucket is",
};

type Sections = typeof sections;

type SectionValues = {
  readonly [S in keyof Sections as S extends `${string}.${string}` ? never : S]: ValuesOf<Sections[S]["fields"]> &
    InnerValues<S>;
};

/** Of the sections in a section. */
type InnerValues<S extends string> = {
  readonly [I in keyof Sections as I extends `${S}.${infer Name}` ? Name : never]: ValuesOf<Sections[I]["fields"]>;
};

/** The effective configuration: checked, defaults filled in, every secret a `Secret`. */
export type Config = ValuesOf<typeof generalSettings> &
  SectionValues & {
    /** By notifier: the settings of those that can be used, which are those that lack no required setting. */
    readonly notifiers: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    /** The pod that Hallux runs in; undefined outside a cluster. */
    readonly self: { readonly namespace: string | undefined; readonly pod: string | undefined };
  };

/** One map of settings in the file: `path` is empty for the top, else the keys that lead to it. */
export interface Section {
  readonly path: readonly string[];
  readonly summary: string;
  readonly fields: Fields;
  /** Its keys that lead to sections in it. */
  readonly inner: readonly string[];
}

/** Every map of settings that a configuration may hold. */
export function sectionsOf(catalogue: Catalogue): readonly Section[] {
  return [
    { path: [], summary: "", fields: generalSettings, inner: [] },
    ...Object.entries(sections).map(([name, { summary, fields }]) => ({
      path: name.split("."),
      summary,
      fields,
      inner: innerOf(name),
    })),
    ...notifierSections(catalogue),
  ];
}

function innerOf(name: string): readonly string[] {
  return Object.keys(sections).flatMap((other) => (other.startsWith(`${name}.`) ? [other.slice(name.length + 1)] : []));
}

function notifierSections({ notifiers }: Catalogue): readonly Section[] {
  return [...notifiers.values()].map(({ id, summary, settings }) => ({
    path: ["notifiers", id],
    summary,
    fields: settings,
    inner: [],
  }));
}

function section<const F extends Fields>(summary: string, fields: F): SectionOf<F> {
  return { summary, fields };
}

/** An empty one would leave a door open that its owner believes shut: it is a Problem. */
function filledSecret(summary: string, pattern?: string): Field<Secret | undefined> {
  const field = secret(summary);
  const form = pattern === undefined ? {} : { pattern };
  return { ...field, schema: { ...field.schema, minLength: 1, ...form } };
}
