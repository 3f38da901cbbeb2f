import { stringify } from "yaml";
import type { Guard } from "../engine/guard.ts";
import type { FalcoEvent } from "../events/event.ts";

import { describeTarget, targetOf } from "../events/target.ts";
import type { Action, Explanation, Rule, RuleSet } from "../rules/rule.ts";

/** What a rule makes of an event, as `rules explain --output json` prints it. */
export interface ExplainedRule {
  readonly rule: string;
  readonly applies: boolean;
  /** Why it does not apply. */
  readonly reasons: readonly string[];
  readonly dry_run: boolean;
  readonly continue: boolean;
  /** What it would do; empty where it does not apply. */
  readonly actions: readonly ExplainedAction[];
}

export interface ExplainedAction {
  readonly action: string;
  readonly actionner: string;
  /** Undefined where the action will not run. */
  readonly target: string | undefined;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly additional_contexts: readonly string[];
  readonly output: { readonly target: string; readonly parameters: Readonly<Record<string, unknown>> } | undefined;
  /** Why the action will not run. */
  readonly skipped: string | undefined;
}

/** Without asking the cluster: whether the target exists, and what else the guard would look at, is not known here. */
export function explainRules(rules: RuleSet, event: FalcoEvent, guard: Guard): readonly ExplainedRule[] {
  return rules.explain(event).map((explanation) => explainedRule(explanation, event, guard));
}

function explainedRule({ rule, reasons }: Explanation, event: FalcoEvent, guard: Guard): ExplainedRule {
  const applies = reasons.length === 0;
  return {
    rule: rule.name,
    applies,
    reasons,
    dry_run: rule.dryRun,
    continue: rule.continue,
    actions: applies ? explainedActions(rule, event, guard) : [],
  };
}

function explainedActions({ actions }: Rule, event: FalcoEvent, guard: Guard): readonly ExplainedAction[] {
  return actions.map((action, index) => {
    const last = actions.slice(0, index).find((earlier) => !earlier.continue);
    const stopped = last === undefined ? undefined : `action "${last.name}" has continue: false`;
    return explainedAction(action, event, { stopped, guard });
  });
}

function explainedAction(
  action: Action,
  event: FalcoEvent,
  { stopped, guard }: { readonly stopped: string | undefined; readonly guard: Guard },
): ExplainedAction {
  const target = targetOf(action.actionner.target, event);
  const missing = target.kind === "missing" ? target.reason : refusal(guard({ action, target, seen: undefined }));
  return {
    action: action.name,
    actionner: action.actionner.id,
    target: target.kind === "missing" ? undefined : describeTarget(target),
    parameters: action.parameters,
    additional_contexts: action.contexts.map(({ id }) => id),
    output: action.output && { target: action.output.output.id, parameters: action.output.parameters },
    skipped: stopped ?? missing,
  };
}

function refusal(objection: string | undefined): string | undefined {
  return objection === undefined ? undefined : `refused: ${objection}`;
}

/** The same for people. */
export function explanationText(rules: readonly ExplainedRule[]): string {
  const applying = rules.filter(({ applies }) => applies).length;
  const blocks = rules.map((rule, index) => `${index + 1}. ${ruleText(rule)}`);
  return [...blocks, `${applying} of ${rules.length} rules apply\n`].join("\n");
}

function ruleText(rule: ExplainedRule): string {
  if (!rule.applies) {
    return [`${rule.rule}: does not apply`, ...rule.reasons.map((reason) => `   - ${reason}`), ""].join("\n");
  }
  return [
    `${rule.rule}: applies${rule.dry_run ? ", as a dry run: nothing is changed" : ""}`,
    ...rule.actions.map(actionText),
    ...(rule.continue ? [] : ["   later rules are not tried (continue: false)"]),
    "",
  ].join("\n");
}

function actionText(action: ExplainedAction): string {
  const named = `   - ${action.action} (${action.actionner})`;
  if (action.skipped !== undefined) {
    return `${named}: does not run: ${action.skipped}`;
  }
  const on = action.target === "none" ? "" : ` on ${action.target}`;
  const details = {
    ...action.parameters,
    ...(action.additional_contexts.length > 0 && { additional_contexts: action.additional_contexts }),
    ...(action.output && { output: action.output }),
  };
  return [`${named}${on}`, ...detailLines(details)].join("\n");
}

function detailLines(details: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.keys(details).length === 0
    ? []
    : stringify(details, { lineWidth: 0 })
        .trimEnd()
        .split("\n")
        .map((line) => `       ${line}`);
}
