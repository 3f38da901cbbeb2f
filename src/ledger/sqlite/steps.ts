import type { OutcomeStatus } from "../../catalogue/outcome.ts";
import { describeTarget } from "../../events/target.ts";
import type { Transition } from "../ledger.ts";
import type { Mark, PlanRow, StepsRow } from "./batch.ts";

/** How a set of statuses is written; these numbers are in files. */
export const statusBits: Readonly<Record<OutcomeStatus, number>> = {
  success: 1,
  ignored: 2,
  failure: 4,
  refused: 8,
  dry_run: 16,
  expired: 32,
};

/** `now` stands for a time that cannot be read. */
export function stepsRow(event: number, transitions: readonly Transition[], now: number): StepsRow {
  const plans: PlanRow[] = [];
  const marks: Mark[] = [];
  for (const step of transitions) {
    switch (step.type) {
      case "planned": {
        const { response, rule, target } = step;
        plans.push({ response, rule, target: describeTarget(target), at: Date.parse(step.at) || now });
        break;
      }
      case "ended":
        marks.push({ response: step.response, statuses: statusBits[step.outcome.status], closed: false });
        break;
      case "closed":
        marks.push({ response: step.response, statuses: 0, closed: true });
        break;
      case "started":
      case "retrying":
      case "notified":
    }
  }
  return { event, body: JSON.stringify(transitions), plans, marks };
}

export function transitionsIn(bodies: readonly string[]): Transition[] {
  return bodies.flatMap((body) => JSON.parse(body) as Transition[]);
}
