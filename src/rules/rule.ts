import type { Actionner, Context, Output } from "../catalogue/catalogue.ts";
import type { FalcoEvent } from "../events/event.ts";
import type { Problem } from "../schema/problem.ts";

/** When an event matches, which actions to run. Everything in it is resolved and checked. */
export interface Rule {
  readonly name: string;
  readonly description: string | undefined;
  readonly conditions: readonly Condition[];
  /** In every event that the rule applies to, the fields of one of these have these values; none: there is no such field. */
  readonly pinned: readonly ReadonlyMap<string, string>[];
  /** Whether later rules are tried for the same event. */
  readonly continue: boolean;
  readonly dryRun: boolean;
  readonly actions: readonly Action[];
  /** In addition to the configuration's `default_notifiers`. */
  readonly notifiers: readonly string[];
}

/** One configured step of a rule. */
export interface Action {
  readonly name: string;
  readonly description: string | undefined;
  readonly actionner: Actionner;
  /** Checked against the actionner's parameters, defaults filled in. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly contexts: readonly Context[];
  readonly output: { readonly output: Output; readonly parameters: Readonly<Record<string, unknown>> } | undefined;
  /** Whether the rule's following actions run afterwards. */
  readonly continue: boolean;
  /** Whether a failure leaves the rule's following actions running. */
  readonly ignoreErrors: boolean;
}

/** Says why an event does not match, or undefined when it does. */
export type Condition = (event: FalcoEvent) => string | undefined;

export interface Explanation {
  readonly rule: Rule;
  /** Why the rule does not apply; empty when it does. */
  readonly reasons: readonly string[];
}

/** A rule as a rules file would say it alone: shared actions merged in, defaults filled in. */
export interface EffectiveRule {
  readonly rule: string;
  readonly description: string | undefined;
  readonly match: Match;
  readonly continue: boolean;
  readonly dry_run: boolean;
  readonly actions: readonly EffectiveAction[];
  readonly notifiers: readonly string[];
}

export interface EffectiveAction {
  readonly action: string;
  readonly description: string | undefined;
  readonly actionner: string;
  readonly continue: boolean;
  readonly ignore_errors: boolean;
  readonly additional_contexts: readonly string[];
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly output: { readonly target: string; readonly parameters: Readonly<Record<string, unknown>> } | undefined;
}

/** What a rule's `match` says. */
export interface Match {
  readonly rules?: readonly string[] | undefined;
  readonly priority?: string | undefined;
  readonly source?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly output_fields?: readonly string[] | undefined;
}

export interface RuleSet {
  /** In the order they are tried. */
  readonly rules: readonly Rule[];
  /** The rules that apply, in order. Pure. */
  match(event: FalcoEvent): readonly Rule[];
  /** Every rule, with all the reasons why it does not apply. Pure. */
  explain(event: FalcoEvent): readonly Explanation[];
}

/** A file that a rule's parameter names: it is read on the machine that Hallux runs on, when an action needs it. */
export interface NamedFile {
  readonly path: string;
  readonly place: Pick<Problem, "file" | "line" | "column" | "text">;
}

/** Either a rule set, with what the merge made of the files, or the Problems that keep it from loading. */
export type RulesReading =
  | {
      readonly rules: RuleSet;
      readonly effective: readonly EffectiveRule[];
      readonly files: readonly NamedFile[];
      readonly problems: readonly [];
    }
  | { readonly rules: undefined; readonly problems: readonly Problem[] };
