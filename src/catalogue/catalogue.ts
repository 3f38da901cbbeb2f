import type { ClientName, Clients } from "../clients/clients.ts";
import type { FalcoEvent } from "../events/event.ts";
import type { TargetKind, TargetOf } from "../events/target.ts";
import type { Fields, ValuesOf } from "../schema/field.ts";
import type { Outcome, Result, StoredArtifact } from "./outcome.ts";

/** One rule of a Kubernetes Role, as data. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  /** `pods`, `pods/exec`. */
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** What every entry of the catalogue declares. */
interface Entry {
  /** `category:name`, or `name` for contexts and notifiers. */
  readonly id: string;
  /** One sentence, imperative, without a final stop. */
  readonly summary: string;
  /** More for the reference page, Markdown; only where the summary and the parameters leave a question. */
  readonly description?: string;
  readonly uses: readonly ClientName[];
  readonly rbac: readonly PolicyRule[];
}

export interface Example {
  readonly title: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** The code behind an action. */
export interface Actionner<P extends Fields = Fields, K extends TargetKind = TargetKind> extends Entry {
  readonly id: `${string}:${string}`;
  /** What it works on; decides which fields the event must have. */
  readonly target: K;
  readonly params: P;
  /** Rules between parameters: what is wrong, or undefined. */
  check?(params: ValuesOf<P>): string | undefined;
  /** It can interrupt a workload or run anything: guarded in protected namespaces. */
  readonly destructive: boolean;
  /**
   * It decides by the state of the other pods of the same owner (how many are left), so it never runs on two of them at once.
   * Only for what is quick: the others wait. Takes effect together with `destructive`, which makes the engine look first.
   */
  readonly oneAtATimePerOwner?: boolean;
  /**
   * Running it twice leaves the same state as once: it is run again after a crash, and where a fault may pass. One that is not
   * makes a single call that changes something, as its last: it is tried again only where that has certainly not begun.
   */
  readonly idempotent: boolean;
  /** How many may run at the same time, where the configuration does not say: for what holds megabytes. */
  readonly concurrency?: number;
  /** Whether the rule's following actions run afterwards, unless the rule's action says otherwise. */
  readonly continues: boolean;
  readonly output: "none" | "optional" | "required";
  /** How to take it back, for the reference page. */
  readonly undo: string;
  /** Seconds it may take, where the configuration's `action_timeout_seconds` is not enough. */
  timeoutSeconds?(params: ValuesOf<P>): number;
  readonly examples: readonly Example[];
  run(call: Call<P, K>): Promise<Result>;
}

/** Everything an action gets; it reaches for nothing else. */
export interface Call<P extends Fields = Fields, K extends TargetKind = TargetKind> {
  readonly event: FalcoEvent;
  readonly target: TargetOf<K>;
  readonly params: ValuesOf<P>;
  readonly facts: Facts;
  /** In a dry run they ask and change nothing. */
  readonly clients: Clients;
  /** Present where the action has an output. */
  readonly store: Store | undefined;
  /** The rule that asked for it, for annotations and payloads. */
  readonly rule: string;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

/** What a context found: `node.hostname` → `node-1`. */
export type Facts = Readonly<Record<string, string>>;

/** Facts fetched before an action that asks for them (`additional_contexts`). */
export interface Context<K extends TargetKind = TargetKind> extends Entry {
  readonly target: K;
  /** The names of the facts it gives. */
  readonly elements: readonly string[];
  fetch(call: {
    readonly event: FalcoEvent;
    readonly target: TargetOf<K>;
    readonly clients: Clients;
    readonly signal: AbortSignal;
  }): Promise<Facts>;
}

export interface Artifact {
  /** `<UTC time>_<namespace>_<pod>_<name>`; only A–Z a–z 0–9 `.` `_` `-`. */
  readonly key: string;
  readonly contentType: string;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Stores one artifact of an action: named, streamed, measured and hashed by the engine, placed by the output. */
export type Store = (artifact: {
  readonly name: string;
  readonly contentType: string;
  readonly body: AsyncIterable<Uint8Array>;
}) => Promise<StoredArtifact>;

/** Where artifacts go. */
export interface Output<P extends Fields = Fields, S extends Fields = Fields> extends Entry {
  readonly id: `${string}:${string}`;
  readonly params: P;
  /** Of the configuration file, under the output's category (`minio`, `aws`). */
  readonly settings: S;
  readonly examples: readonly Example[];
  /** Resolves with the location once all of it is stored; leaves nothing behind when it rejects. */
  store(call: {
    readonly artifact: Artifact;
    readonly params: ValuesOf<P>;
    readonly settings: ValuesOf<S>;
    readonly clients: Clients;
    readonly signal: AbortSignal;
  }): Promise<{ readonly location: string }>;
}

/** How one action of a response ended, for whom it concerns. */
export interface Notification {
  readonly event: FalcoEvent;
  /** The response's id. */
  readonly response: string;
  readonly rule: { readonly name: string; readonly description: string | undefined };
  readonly action: { readonly name: string; readonly actionner: string };
  readonly outcome: Outcome;
  /** RFC 3339. */
  readonly at: string;
}

/** Whom to tell. */
export interface Notifier<S extends Fields = Fields> extends Entry {
  /** Of the configuration file, under `notifiers.<id>`. */
  readonly settings: S;
  notify(call: {
    readonly notification: Notification;
    readonly settings: ValuesOf<S>;
    readonly clients: Clients;
    readonly signal: AbortSignal;
  }): Promise<void>;
}

/** Everything there is, by id. */
export interface Catalogue {
  readonly actionners: ReadonlyMap<string, Actionner>;
  readonly contexts: ReadonlyMap<string, Context>;
  readonly outputs: ReadonlyMap<string, Output>;
  readonly notifiers: ReadonlyMap<string, Notifier>;
}

/** Identity functions: they infer the parameters' types, so that `run` gets them without saying them again. */
export function defineActionner<const P extends Fields, const K extends TargetKind>(
  actionner: Actionner<P, K>,
): Actionner<P, K> {
  return actionner;
}

export function defineContext<const K extends TargetKind>(context: Context<K>): Context<K> {
  return context;
}

export function defineOutput<const P extends Fields, const S extends Fields>(output: Output<P, S>): Output<P, S> {
  return output;
}

export function defineNotifier<const S extends Fields>(notifier: Notifier<S>): Notifier<S> {
  return notifier;
}

/** Indexes the lists. Throws where two entries share an id. */
export function createCatalogue(lists: {
  readonly actionners: readonly Actionner[];
  readonly contexts: readonly Context[];
  readonly outputs: readonly Output[];
  readonly notifiers: readonly Notifier[];
}): Catalogue {
  return {
    actionners: byId(lists.actionners),
    contexts: byId(lists.contexts),
    outputs: byId(lists.outputs),
    notifiers: byId(lists.notifiers),
  };
}

function byId<E extends { readonly id: string }>(entries: readonly E[]): ReadonlyMap<string, E> {
  const index = new Map(entries.map((entry) => [entry.id, entry]));
  if (index.size !== entries.length) {
    throw new Error(
      `two catalogue entries share an id: ${entries
        .map(({ id }) => id)
        .sort()
        .join(", ")}`,
    );
  }
  return index;
}
