import { appendFileSync } from "node:fs";

/** One line of the table: what was measured, beside what it is held against in the same run. */
export interface Figure {
  readonly name: string;
  readonly measured: string;
  /** Of the same run. */
  readonly against: string;
  /** What the goal is about. */
  readonly value: number;
  readonly goal: string;
  readonly met: boolean;
}

export function atLeast(
  name: string,
  value: number,
  goal: number,
  words: Pick<Figure, "measured" | "against">,
): Figure {
  return { name, ...words, value, goal: `≥ ${goal}`, met: value >= goal };
}

export function atMost(name: string, value: number, goal: number, words: Pick<Figure, "measured" | "against">): Figure {
  return { name, ...words, value, goal: `≤ ${Number(goal.toFixed(2))}`, met: value <= goal };
}

export function tableOf(figures: readonly Figure[]): string {
  const rows = [
    ["figure", "measured", "in the same run", "value", "goal", ""],
    ...figures.map(({ name, measured, against, value, goal, met }) => [
      name,
      measured,
      against,
      value.toFixed(2),
      goal,
      met ? "met" : "MISSED",
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Prints the table, and where BENCH_RESULTS names a file, adds the figures to it. Where one is missed the process will exit with 1. */
export function report(figures: readonly Figure[], where?: string): void {
  console.log(where === undefined ? tableOf(figures) : `on ${where}\n${tableOf(figures)}`);
  const { BENCH_RESULTS: file } = process.env;
  if (file !== undefined) {
    appendFileSync(file, figures.map((figure) => `${JSON.stringify({ ...figure, where })}\n`).join(""));
  }
  process.exitCode = figures.every(({ met }) => met) ? 0 : 1;
}
