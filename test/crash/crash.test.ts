import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { bundle } from "../support/bundle.ts";
import { type Workplace, workplace } from "../support/workplace.ts";
import { failpoints, kinds, planRound } from "./plan.ts";
import { runRound } from "./round.ts";

/** The short form of the crash suite: one round of each kind. `npm run test:crash` is the long one. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 });

const seed = Date.now() % 1_000_000;

let files: Workplace;
let program: string;

beforeAll(() => {
  files = workplace({});
  program = bundle(files.path("with-failpoints"), "--failpoints");
});

afterAll(() => files[Symbol.dispose]());

describe("whenever Hallux is killed, what it answered 2xx is acted on, and no function is called twice", () => {
  it.each(kinds.map((kind, index) => [kind, index + 1] as const))("%s", async (_kind, number) => {
    const round = planRound(seed, number);

    const report = await runRound(round, { program, keepIn: tmpdir() });

    expect(report.lives).toBeGreaterThan(0);
  });
});

describe("the build that ships", () => {
  it("has none of the failpoints that the crash suite has", () => {
    bundle(files.path("shipped"));

    expect(failpointsIn(files.path("with-failpoints"))).toEqual([...failpoints]);
    expect(failpointsIn(files.path("shipped"))).toEqual([]);
  });
});

/** In any file of the bundle. */
function failpointsIn(directory: string): readonly string[] {
  const text = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(({ name }) => name.endsWith(".js"))
    .map(({ parentPath, name }) => readFileSync(`${parentPath}/${name}`, "utf8"))
    .join("\n");
  return failpoints.filter((step) => text.includes(`"${step}"`));
}
