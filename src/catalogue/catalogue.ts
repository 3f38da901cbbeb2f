import type { ClientName, Clients } from "../clients/clients.ts";
import type { Pod } from "../clients/kubernetes/port.ts";
import type { FalcoEvent } from "../events/event.ts";
import type { TargetKind, TargetOf } from "../events/target.ts";
import type { Fields, ValuesOf } from "../schema/field.ts";
import type { Digest, Outcome, Result, StoredArtifact } from "./outcome.ts";

/** One rule of a Kubernetes Role, as data. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  /** `pods`, `pods/exec`. */
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** What one use of an entry needs. */
export interface Grant extends PolicyRule {
  /** Where: a namespace, or `*` for all of them; that of the target where absent. Cluster-wide resources are in none. */
  readonly namespace?: string;
}

/** What every entry of the catalogue declares. */
interface Entry {
  /** `category:name`, or `name` for contexts and notifiers. */
  readonly id: string;
  /** One sentence, imperative, without a final stop. */
  readonly summary: string;
  /** More for the reference page, Markdown, with links as from `docs/generated/`; only where summary and parameters leave a question. */
  readonly description?: string;
  readonly uses: readonly ClientName[];
  /** All that any use of it needs. */
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
  /** What else the event must have, or the action is ignored: `fd.rip or fd.sip` where one of them is enough. */
  readonly needs?: readonly string[];
  readonly params: P;
  /** Rules between parameters: what is wrong, or undefined. */
  check?(params: ValuesOf<P>): string | undefined;
  /** Of `rbac`, what these parameters need: where that is less, or elsewhere than in the target's namespace. */
  rbacFor?(params: ValuesOf<P>): readonly Grant[];
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
  /** How to take it back, for the reference page and for whoever is told that it may or may not be done. */
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
  /**
   * Why a pod besides the target is not to be touched (a protected namespace, a mirror pod), or undefined where it may be: guards
   * have looked at the target only.
   */
  readonly objectionTo: (other: Pod) => string | undefined;
  readonly dryRun: boolean;
  /** From 1. An earlier one may have been done, and its answer lost. */
  readonly attempt: number;
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
  /** `<UTC time>_<namespace>_<pod>_<name>`; only A–Z a–z 0–9 `.` `_` `-`, at most 240. */
  readonly key: string;
  readonly contentType: string;
  readonly body: AsyncIterable<Uint8Array>;
  /** Of what has been read of the body so far: final once it has ended. */
  digest(): Digest;
}

/** Stores one artifact of an action: named, streamed, measured and hashed by the engine, placed by the output. */
export type Store = (artifact: {
  readonly name: string;
  readonly contentType: string;
  readonly body: AsyncIterable<Uint8Array>;
}) => Promise<StoredArtifact>;

/** Where artifacts go. */
export interface Output<P extends Fields = Fields> extends Entry {
  readonly id: `${string}:${string}`;
  readonly params: P;
  /** Rules between parameters: what is wrong, or undefined. */
  check?(params: ValuesOf<P>): string | undefined;
  readonly examples: readonly Example[];
  /** Resolves with the location once all of it is stored; leaves none of it behind when it rejects. */
  store(call: {
    readonly artifact: Artifact;
    readonly params: ValuesOf<P>;
    /** In a dry run they ask and change nothing. */
    readonly clients: Clients;
    /** Reads the artifact and asks whether it could be stored; stores nothing. */
    readonly dryRun: boolean;
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

/** What is wrong with which setting. */
export interface SettingFault {
  readonly setting: string;
  /** Of a setting that is a map. */
  readonly key?: string;
  readonly message: string;
}

/** Whom to tell. */
export interface Notifier<S extends Fields = Fields> extends Entry {
  /** Of the configuration file, under `notifiers.<id>`. */
  readonly settings: S;
  /** What no field can say alone: rules between settings, a template that does not parse. Told as problems of the configuration. */
  check?(settings: ValuesOf<S>): readonly SettingFault[];
  /**
   * Once in a process, before the first notification, which fails where this rejects; the next one has it done again. Resolves with
   * what each notification is to say about it, or undefined.
   */
  prepare?(call: {
    readonly settings: ValuesOf<S>;
    readonly clients: Clients;
    readonly signal: AbortSignal;
  }): Promise<string | undefined>;
  notify(call: {
    readonly notification: Notification;
    readonly settings: ValuesOf<S>;
    readonly clients: Clients;
    readonly signal: AbortSignal;
    /** Of `prepare`. */
    readonly note?: string | undefined;
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

export function defineOutput<const P extends Fields>(output: Output<P>): Output<P> {
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
