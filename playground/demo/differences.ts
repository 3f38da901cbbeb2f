import type { Pod } from "../wire.ts";
import { placeOf } from "./cluster.ts";

/** New, gone, changed, as it was. */
export type Mark = "+" | "-" | "~" | " ";

export interface Difference {
  readonly mark: Mark;
  readonly pod: Pod;
  /** Labels that it had and has, `key=value`. */
  readonly kept: readonly string[];
  readonly gained: readonly string[];
}

/** Controllers write these on every pod: they say nothing here and make the lines long. */
const controllersOwn = /^(pod-template-hash|controller-revision-hash|(statefulset|apps)\.kubernetes\.io\/.+)$/;

/** What became of each pod, by namespace and name. */
export function differences(before: readonly Pod[], after: readonly Pod[]): readonly Difference[] {
  const earlier = new Map(before.map((pod) => [pod.metadata.uid, pod]));
  const left = new Set(after.map(({ metadata }) => metadata.uid));
  const gone = before.filter(({ metadata }) => !left.has(metadata.uid));
  return [
    ...gone.map((pod) => ({ mark: "-" as const, pod, kept: labelsOf(pod), gained: [] })),
    ...after.map((pod) => differenceOf(pod, earlier.get(pod.metadata.uid))),
  ].toSorted((a, b) => placeOf(a.pod).localeCompare(placeOf(b.pod)));
}

function differenceOf(pod: Pod, earlier: Pod | undefined): Difference {
  const labels = labelsOf(pod);
  if (earlier === undefined) {
    return { mark: "+", pod, kept: labels, gained: [] };
  }
  const had = new Set(labelsOf(earlier));
  const gained = labels.filter((label) => !had.has(label));
  return { mark: gained.length > 0 ? "~" : " ", pod, kept: labels.filter((label) => had.has(label)), gained };
}

function labelsOf({ metadata: { labels = {} } }: Pod): readonly string[] {
  return Object.entries(labels)
    .filter(([key]) => !controllersOwn.test(key))
    .map(([key, value]) => `${key}=${value}`);
}
