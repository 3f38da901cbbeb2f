import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { bundle } from "../support/bundle.ts";
import { workplace } from "../support/workplace.ts";
import { kinds, planRound } from "./plan.ts";
import { type RoundReport, runRound } from "./round.ts";

/**
 * The crash suite in full: `npm run test:crash -- [--rounds 200] [--seed N] [--round M]`. Hallux is killed again and again under
 * load, started again on the same ledger, and everything that it promised is checked. One seed gives the same rounds; what the
 * operating system makes of their moments differs from run to run, so repeat a round a few times.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    round: { type: "string" },
  },
});
const seed = numberIn(values.seed, "--seed");
const numbers =
  values.round === undefined
    ? Array.from({ length: numberIn(values.rounds, "--rounds") }, (_, index) => index + 1)
    : [numberIn(values.round, "--round")];

using files = workplace({});
const program = bundle(files.directory, "--failpoints");
const totals = new Map<keyof RoundReport, number>();
let failed = 0;

console.log(`seed ${seed}, ${numbers.length} rounds of ${kinds.length} kinds`);
for (const number of numbers) {
  const round = planRound(seed, number);
  await runRound(round, { program, keepIn: tmpdir() }).then(
    (report) => {
      count(report);
      console.log(`${String(number).padStart(4)} ok    ${round.kind.padEnd(22)}${wordsFor(Object.entries(report))}`);
    },
    (error: Error) => {
      failed += 1;
      console.log(`${String(number).padStart(4)} FAIL  ${round.kind}: ${error.message}`);
    },
  );
}
console.log(
  `seed ${seed}: ${numbers.length - failed} of ${numbers.length} rounds kept every promise; ${wordsFor([...totals])}`,
);
process.exitCode = failed > 0 ? 1 : 0;

function count(report: RoundReport): void {
  for (const name of Object.keys(report) as (keyof RoundReport)[]) {
    totals.set(name, (totals.get(name) ?? 0) + report[name]);
  }
}

function wordsFor(figures: readonly (readonly [string, number])[]): string {
  return figures.map(([name, value]) => `${value} ${name}`).join(", ");
}

function numberIn(text: string, option: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new Error(`${option} takes a number, not ${text}`);
  }
  return number;
}
