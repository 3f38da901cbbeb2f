import type { ActionReport, ResponseReport } from "../../src/api/shapes.ts";
import type { Deed, PlannedEvent } from "./plan.ts";

/** What the outside has seen of a round once all work has ended. */
export interface Evidence {
  /** Those that were sent, answered or not. */
  readonly events: readonly PlannedEvent[];
  /** The answers to each event, by its uuid. */
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
  /** The whole history, as the read API tells it. */
  readonly records: readonly ResponseReport[];
  /** How often the function was called for an event, by its uuid. */
  readonly calls: ReadonlyMap<string, number>;
  /** Of each pod. */
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>;
  /** What the webhook was sent. */
  readonly told: readonly Told[];
}

export type Answer = "accepted" | "duplicate";

export interface Told {
  readonly uuid: string;
  readonly action: string;
  readonly status: string;
}

/** The promises (`docs/reliability.md`) that the evidence contradicts, each in a line; empty where all are kept. */
export function violations(evidence: Evidence): readonly string[] {
  const records = Map.groupBy(evidence.records, ({ event }) => String(event.sent["uuid"]));
  const told = Map.groupBy(evidence.told, ({ uuid }) => uuid);
  return evidence.events.flatMap((event) => {
    const { uuid } = event;
    const seen: Seen = {
      event,
      answers: evidence.answers.get(uuid) ?? [],
      records: records.get(uuid) ?? [],
      calls: evidence.calls.get(uuid) ?? 0,
      labelled: evidence.labels.get(event.pod)?.has(labelOf(event)) ?? false,
      told: told.get(uuid) ?? [],
    };
    const faults = checks.flatMap((check) => check(seen));
    return faults.map((fault) => `${uuid} (${event.deed} on ${event.pod}, ${answersOf(seen)}): ${fault}`);
  });
}

export function labelOf({ mark }: PlannedEvent): string {
  return `mark-${mark}`;
}

/** The Falco rule that asks for it. */
export const ruleOf: Readonly<Record<Deed, string>> = {
  label: "Label",
  call: "Call",
  both: "Label and call",
  nothing: "Nothing",
};

/** The names of the actions, in order. */
export const actionsOf: Readonly<Record<Deed, readonly string[]>> = {
  label: ["Mark"],
  call: ["Call"],
  both: ["Mark", "Call"],
  nothing: [],
};

/** What was seen of one event. */
interface Seen {
  readonly event: PlannedEvent;
  readonly answers: readonly Answer[];
  readonly records: readonly ResponseReport[];
  readonly calls: number;
  readonly labelled: boolean;
  readonly told: readonly Told[];
}

const checks: readonly ((seen: Seen) => readonly string[])[] = [
  answeredIsActedOn,
  actedOnOnce,
  calledOnce,
  whatIsOnRecordIsSo,
  toldAsRecorded,
];

function answeredIsActedOn({ event, answers, records }: Seen): readonly string[] {
  const lost = answers.length > 0 && actionsOf[event.deed].length > 0 && records.length === 0;
  return lost ? ["LOST: it was answered 2xx, and nothing was done for it"] : [];
}

function actedOnOnce({ event, answers, records }: Seen): readonly string[] {
  const responses = actionsOf[event.deed].length === 0 ? 0 : 1;
  const accepted = answers.filter((answer) => answer === "accepted").length;
  return [
    // What ended without a response is not kept, and so not known again.
    ...(accepted > 1 && responses > 0 ? ["it was accepted more than once"] : []),
    ...(records.length > responses ? [`${records.length} responses are on record`] : []),
  ];
}

function calledOnce({ records, calls }: Seen): readonly string[] {
  return [
    ...(calls > 1 ? [`TWICE: the function was called ${calls} times`] : []),
    ...(calls > 0 && records.length === 0 ? ["the function was called, and nothing of it is on record"] : []),
  ];
}

function whatIsOnRecordIsSo(seen: Seen): readonly string[] {
  return seen.records.flatMap(({ status, actions }) => [
    ...(status === "open" ? ["its response is still open"] : []),
    ...(actions.map(({ name }) => name).join() === actionsOf[seen.event.deed].join()
      ? []
      : ["its response has other actions than the rule"]),
    ...actions.flatMap((action) => untruthIn(action, seen)),
  ]);
}

function untruthIn({ name, status, code, message }: ActionReport, { calls, labelled }: Seen): readonly string[] {
  const outcome = `${status}${code === undefined ? "" : `/${code}: ${message}`}`;
  switch (`${name} ${code ?? status}`) {
    case "Mark success":
      return labelled ? [] : ["on record as labelled, and the pod has no such label"];
    case "Call success":
      return calls === 1 ? [] : [`on record as called, and the function was called ${calls} times`];
    case "Call interrupted":
      return [];
    default:
      return [`${name} ended as ${outcome}`];
  }
}

/** At least once, and never otherwise than it is on record. */
function toldAsRecorded({ records, told }: Seen): readonly string[] {
  return records.flatMap(({ actions }) =>
    actions.flatMap(({ name, status }) => {
      const words = told.filter(({ action }) => action === name);
      const wrong = words.find((word) => word.status !== status);
      return [
        ...(words.length === 0 ? [`${name} ended as ${status}, and the webhook was not told`] : []),
        ...(wrong === undefined ? [] : [`${name} ended as ${status}, and the webhook was told ${wrong.status}`]),
      ];
    }),
  );
}

function answersOf({ answers }: Seen): string {
  return answers.length === 0 ? "never answered" : `answered ${answers.join(", ")}`;
}
