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
export function describeProblem({ file, line, column, message, hint }: Problem): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(":");
  return `${place}: error: ${message}${hint === undefined ? "" : ` (${hint})`}`;
}

/**
 * The known name nearest to what was written, if it is near: `did you mean "dry_run"?` A `category:` in front is no reason to
 * be near: `kubernetes:drain` is not `kubernetes:log`.
 */
export function didYouMean(written: string, known: Iterable<string>): string | undefined {
  const name = written.slice(written.lastIndexOf(":") + 1);
  const limit = Math.max(1, Math.floor(name.length / 3));
  const [nearest] = [...known]
    .map((name) => ({ name, distance: editDistance(written.toLowerCase(), name.toLowerCase(), limit) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return nearest === undefined ? undefined : `did you mean "${nearest.name}"?`;
}

/** Levenshtein; gives up (Infinity) where the lengths alone exceed the limit. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) {
    return Number.POSITIVE_INFINITY;
  }
  const firstRow = Array.from({ length: b.length + 1 }, (_, index) => index);
  return [...a].reduce((row, letter, index) => nextRow(row, letter, [...b], index + 1), firstRow).at(-1) ?? 0;
}

function nextRow(previous: readonly number[], letter: string, b: readonly string[], first: number): number[] {
  const row = [first];
  for (const [j, other] of b.entries()) {
    const substitution = (previous[j] ?? 0) + (letter === other ? 0 : 1);
    row.push(Math.min(substitution, (previous[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1));
  }
  return row;
}
