import type { Outcome } from "../catalogue/outcome.ts";
import type { Transition } from "../ledger/ledger.ts";

/** What is on record of one action of a response. */
export interface PastAction {
  readonly name: string;
  readonly actionner: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** The last attempt was started, and how it ended is not on record. */
  readonly inFlight: boolean;
  readonly outcome: Outcome | undefined;
  /** Notifiers that were told of the outcome, or given up on. */
  readonly notified: ReadonlySet<string>;
}

/** What is on record of a response that an earlier process began. */
export interface PastResponse {
  readonly id: string;
  readonly rule: string;
  readonly dryRun: boolean;
  readonly plannedAt: Date;
  readonly actions: readonly PastAction[];
  readonly closed: boolean;
}

interface MutableAction {
  readonly name: string;
  readonly actionner: string;
  attempts: number;
  inFlight: boolean;
  outcome: Outcome | undefined;
  readonly notified: Set<string>;
}

interface MutableResponse {
  readonly id: string;
  readonly rule: string;
  readonly dryRun: boolean;
  readonly plannedAt: Date;
  readonly actions: readonly MutableAction[];
  closed: boolean;
}

/** The responses of one event, in the order they were planned. */
export function pastOf(history: readonly Transition[]): readonly PastResponse[] {
  const responses = new Map<string, MutableResponse>();
  for (const transition of history) {
    if (transition.type === "planned") {
      responses.set(transition.response, begun(transition));
    } else {
      apply(transition, responses.get(transition.response));
    }
  }
  return [...responses.values()];
}

function begun({
  response,
  rule,
  dryRun = false,
  at,
  actions,
}: Extract<Transition, { type: "planned" }>): MutableResponse {
  return {
    id: response,
    rule,
    dryRun,
    plannedAt: new Date(at),
    actions: actions.map(({ name, actionner }) => ({
      name,
      actionner,
      attempts: 0,
      inFlight: false,
      outcome: undefined,
      notified: new Set(),
    })),
    closed: false,
  };
}

function apply(transition: Exclude<Transition, { type: "planned" }>, response: MutableResponse | undefined): void {
  if (response === undefined) {
    return;
  }
  if (transition.type === "closed") {
    response.closed = true;
    return;
  }
  const action = response.actions[transition.action];
  if (action !== undefined) {
    applyToAction(transition, action);
  }
}

function applyToAction(transition: Exclude<Transition, { type: "planned" | "closed" }>, action: MutableAction): void {
  switch (transition.type) {
    case "started":
      action.attempts = transition.attempt;
      action.inFlight = true;
      break;
    case "retrying":
      action.attempts = transition.attempt;
      action.inFlight = false;
      break;
    case "ended":
      action.outcome = transition.outcome;
      action.inFlight = false;
      break;
    case "notified":
      action.notified.add(transition.notifier);
  }
}
