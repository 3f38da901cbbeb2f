/** One thing wrong in a file a user wrote. All problems of a file are told at once. */
export interface Problem {
  readonly file: string;
  /** 1-based; undefined where the file as a whole is meant (it cannot be read). */
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** What is wrong and what was expected, in one sentence without a final stop. */
  readonly message: string;
  /** The offending text as it stands in the file, shortened. */
  readonly text: string | undefined;
  /** "did you mean …", or how to write it instead. */
  readonly hint: string | undefined;
}

/** `rules.yaml:12:7: error: unknown key "dryrun" (did you mean "dry_run"?)` */
export function describeProblem(problem: Problem): string {
  return described(problem, "error");
}

/** The same of what keeps nothing from loading, and may still not be what its author thinks. */
export function describeRemark(remark: Problem): string {
  return described(remark, "remark");
}

function described({ file, line, column, message, hint }: Problem, kind: "error" | "remark"): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(":");
  return `${place}: ${kind}: ${message}${hint === undefined ? "" : ` (${hint})`}`;
}

/**
 * The known name nearest to what was written, if it is near: `did you mean "dry_run"?` A `category:` in front is no reason to
 * be near: `kubernetes:drain` is not `kubernetes:log`.
 */
export function didYouMean(written: string, known: Iterable<string>): string | undefined {
  const name = written.slice(written.lastIndexOf(":") + 1);
  const limit = Math.min(name.length - 1, Math.max(1, Math.floor(name.length / 3)));
  const [nearest] = [...known]
    .map((name) => ({ name, distance: editDistance(written.toLowerCase(), name.toLowerCase(), limit) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return nearest === undefined ? undefined : `did you mean "${nearest.name}"?`;
}

/** Levenshtein, two letters swapped being one edit; gives up (Infinity) where the lengths alone exceed the limit. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) {
    return Number.POSITIVE_INFINITY;
  }
  const rows = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  while (rows.length <= a.length) {
    rows.push(nextRow(rows, a, b));
  }
  return rows.at(-1)?.at(-1) ?? 0;
}

function nextRow(rows: readonly (readonly number[])[], a: string, b: string): number[] {
  const i = rows.length;
  const [beforePrevious = [], previous = []] = [rows[i - 2], rows[i - 1]];
  const row = [i];
  for (let j = 1; j <= b.length; j++) {
    const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
    const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
    const swap = swapped ? (beforePrevious[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY;
    row.push(Math.min(substitution, swap, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
  }
  return row;
}
