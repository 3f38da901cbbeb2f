import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { programNamed, type Values } from "../chart/helm.ts";
import { motoPython, startMoto, withoutMoto } from "../peers/moto.ts";
import { bundle } from "../support/bundle.ts";
import { commandsOf, disguised, stepsOf } from "./markdown.ts";
import { journeys, needsAws, notRun } from "./plan.ts";
import { has, lacks, Reader, takenNamespace } from "./reader.ts";

/** A journey of many pages, on a machine that has other things to do. */
vi.setConfig({ testTimeout: 600_000 });

const checkout = join(import.meta.dirname, "../..");
const pages = ["README.md", ...writtenByHand()];
const commands = new Map(pages.map((page) => [page, commandsIn(page)]));
const ways = [...journeys, ...directories(), ...alone()];
const ofAws = ways.filter((way) => way.some((page) => commandsOn(page).some((text) => needsAws.test(text))));
const scratch = mkdtempSync(join(tmpdir(), "hallux-guides-"));
const { HALLUX_TEST_KUBECONFIG, KUBECONFIG, npm_lifecycle_event } = process.env;
const kubeconfig = HALLUX_TEST_KUBECONFIG || (npm_lifecycle_event === "test" ? undefined : KUBECONFIG) || "";
const missing = missingHere();
const program = missing === undefined ? bundle(join(scratch, "dist")) : "";
const moto = missing === undefined && motoPython !== undefined && has("aws") ? await startMoto(motoPython) : undefined;
afterAll(async () => {
  await moto?.[Symbol.asyncDispose]();
  // A server that was told to stop may still put its files away.
  rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
});

const install = "helm install hallux charts/hallux -n hallux -f values.yaml > notes.txt";
const installations: Readonly<Record<string, Values>> = {
  "a secret path": { existingSecrets: { "auth.path_secret": { name: "hallux-auth", key: "path-secret" } } },
  "a token and HTTPS": {
    existingSecrets: { "auth.bearer_token": { name: "hallux-auth", key: "path-secret" } },
    tls: { existingSecret: "hallux-tls" },
  },
};

describe("the pages", () => {
  it.each(pages)("show commands in shell blocks only: %s", (page) => {
    expect(disguised(textOf(page))).toEqual([]);
  });

  it.each(notRun)("have the command that is not run: $command", ({ command }) => {
    const there = pages.flatMap(commandsOn).some((text) => command.test(text));

    expect(there).toBe(true);
  });

  it("of a journey are there", () => {
    expect(pages).toEqual(expect.arrayContaining(journeys.flat()));
  });
});

describe.skipIf(missing !== undefined)(`followed word for word${missing === undefined ? "" : ` (${missing})`}`, () => {
  it.for(ways.map((way) => [titleOf(way), way] as const))("%s", async ([, way], { skip }) => {
    skip(moto === undefined && ofAws.includes(way), `needs the command aws, and moto: ${withoutMoto}`);
    await using reader = await someReader();

    for (const page of way) {
      await reader.follow(page);
    }
  });

  it.each(Object.entries(installations))("the notes of the chart, with %s", async (_, values) => {
    await using reader = await someReader();
    await reader.prepare("charts-hallux-NOTES");

    await reader.do(commandsOf(`cat > values.yaml <<'END'\n${stringify(values)}END\n${install}\n`, 1), "values");
    const noted = [...reader.read("notes.txt").matchAll(/^ {3}((?:kubectl|curl) .*)$/gm)].map(([, one]) => one);
    await reader.do(commandsOf([...noted, ""].join("\n"), 1), "NOTES.txt");

    expect(noted).toHaveLength(5);
    await reader.do(commandsOf("$ kubectl get pods -A -l analysis/status=suspicious -o name\npod/cart\n", 1), "after");
  });
});

function someReader(): Promise<Reader> {
  const root = mkdtempSync(join(scratch, "reader-"));
  return Reader.at({ root, kubeconfig, program, aws: moto?.url });
}

function titleOf(way: readonly string[]): string {
  return way.length > 5 ? `${way[0]}, then the other pages beside it` : way.join(", then ");
}

/** The pages of a directory are one journey, which begins with its README. */
function directories(): readonly (readonly string[])[] {
  const starts = pages.filter((page) => /^docs\/.+\/README\.md$/.test(page));
  return starts
    .map((start) => [start, ...pages.filter((page) => page !== start && dirname(page) === dirname(start))])
    .filter((way) => way.some((page) => commandsOn(page).length > 0));
}

function alone(): readonly (readonly string[])[] {
  const taken = [...journeys, ...directories()].flat();
  return pages.filter((page) => commandsOn(page).length > 0 && !taken.includes(page)).map((page) => [page]);
}

function commandsOn(page: string): readonly string[] {
  return commands.get(page) ?? [];
}

function commandsIn(page: string): readonly string[] {
  return stepsOf(textOf(page)).flatMap((step) => (step.kind === "command" ? [step.text] : []));
}

function textOf(page: string): string {
  return readFileSync(join(checkout, page), "utf8");
}

function writtenByHand(): readonly string[] {
  return readdirSync(join(checkout, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !name.startsWith("generated"))
    .map((name) => `docs/${name}`)
    .toSorted();
}

function missingHere(): string | undefined {
  if (kubeconfig === "") {
    return "skipped: they need the real control plane of $KUBECONFIG";
  }
  if (programNamed("helm") === undefined || programNamed("kubectl") === undefined) {
    return "skipped: helm and kubectl are neither beside the checkout nor on the PATH";
  }
  const lacking = lacks();
  if (lacking !== undefined) {
    return `skipped: there is no ${lacking}`;
  }
  const taken = takenNamespace(kubeconfig);
  return taken === undefined ? undefined : `skipped: the cluster has a namespace ${taken} already`;
}
