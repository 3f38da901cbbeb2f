import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import manifest from "../../package.json" with { type: "json" };
import { readImage } from "./dockerfile.ts";

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;

  readonly permissions: unknown;
  readonly jobs: Readonly<
    Record<string, { readonly needs?: string | readonly string[]; readonly steps: readonly Step[] }>
  >;
}

const root = join(import.meta.dirname, "../..");
const directory = join(root, ".github/workflows");

function read(name: string): Workflow {
  const document = parseDocument(readFileSync(join(directory, name), "utf8"), { version: "1.2" });
  expect([...document.errors, ...document.warnings]).toEqual([]);
  return document.toJS() as Workflow;
}

function stepsOf(workflow: Workflow, job?: string): readonly Step[] {
  const jobs = job === undefined ? Object.values(workflow.jobs) : [workflow.jobs[job]];
  return jobs.flatMap((it) => it?.steps ?? []);
}

describe.each(readdirSync(directory))("%s", (name) => {
  const workflow = read(name);

  it("may do nothing that a job does not ask for", () => {
    expect(workflow.permissions).toEqual({ contents: "read" });
  });

  it("names the commit of every action", () => {
    const unpinned = stepsOf(workflow).filter(({ uses }) => uses !== undefined && !/@[0-9a-f]{40}$/.test(uses));

    expect(unpinned).toEqual([]);
  });

  it("waits only for jobs that there are", () => {
    const names = Object.keys(workflow.jobs);

    const awaited = Object.values(workflow.jobs).flatMap(({ needs = [] }) => needs);

    expect(awaited.filter((needed) => !names.includes(needed))).toEqual([]);
  });

  it("runs only scripts that package.json has", () => {
    const commands = stepsOf(workflow).flatMap(({ run = "" }) => [...run.matchAll(/npm run (?:--silent )?([\w:]+)/g)]);

    const scripts = commands.map(([, script]) => script as string);

    expect(scripts.filter((script) => !(script in manifest.scripts))).toEqual([]);
  });

  it("puts nothing that came from outside into a shell program", () => {
    const programs = stepsOf(workflow).map(({ run = "" }) => run);

    expect(programs.filter((program) => program.includes("${{"))).toEqual([]);
  });
});

it("checks every push and pull request with .ci/run", () => {
  const { on, jobs } = read("ci.yml");

  expect(Object.keys(on)).toEqual(expect.arrayContaining(["push", "pull_request"]));
  expect(jobs["check"]?.steps).toContainEqual({ run: ".ci/run" });
});

describe("a release", () => {
  const release = read("release.yml");

  it("is made of a tag that .ci/run found good", () => {
    expect(release.on).toMatchObject({ push: { tags: ["v[0-9]+.[0-9]+.[0-9]+*"] } });
    expect(stepsOf(release, "check")).toContainEqual({ run: ".ci/run" });
    const first = Object.entries(release.jobs).filter(([, { needs = [] }]) => needs.length === 0);
    expect(first.map(([name]) => name)).toEqual(["check"]);
  });

  it("has an image for both platforms, signed and with its provenance", () => {
    const steps = stepsOf(release, "image");

    expect(steps.find(({ uses }) => uses?.startsWith("docker/build-push-action@"))?.with).toMatchObject({
      platforms: "linux/amd64,linux/arm64",
      provenance: "mode=max",
      sbom: true,
    });
    expect(steps.some(({ run }) => run?.startsWith("cosign sign --yes"))).toBe(true);
    expect(steps.some(({ uses }) => uses?.startsWith("actions/attest-build-provenance@"))).toBe(true);
  });

  it("names image and chart as registries do, whoever's fork it is: in lower case", () => {
    const programs = ["image", "chart"].map((job) => stepsOf(release, job).map(({ run = "" }) => run));

    expect(programs.map((steps) => steps.findIndex((program) => program.includes(",,}")))).toEqual([1, 1]);
  });

  it("gives the Dockerfile only arguments that it has", () => {
    const dockerfile = readFileSync(join(root, "Dockerfile"), "utf8");
    const build = stepsOf(release, "image").find(({ uses }) => uses?.startsWith("docker/build-push-action@"));

    const given = String(build?.with?.["build-args"]).match(/^\w+(?==)/gm) ?? [];

    expect(given.filter((name) => !dockerfile.includes(`\nARG ${name}=`))).toEqual([]);
    expect(readImage(dockerfile).labels).toContain("org.opencontainers.image.revision");
  });
});
