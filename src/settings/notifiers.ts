import type { Config } from "../config/schema.ts";
import type { RuleSet } from "../rules/rule.ts";
import type { Problem } from "../schema/problem.ts";
import { inTurns, type Steps } from "../schema/steps.ts";
import { fileProblem, type Path, problemAt, readYamlList, type YamlDocument } from "../schema/yaml.ts";

/** The rules files, which have loaded. */
export interface RulesSource {
  readonly files: readonly string[];
  readonly readFile: (path: string) => string;
}

/** Notifiers that rules name and the configuration does not complete. */
export async function unusableNotifiers(
  { rules }: RuleSet,
  { notifiers }: Config,
  source: RulesSource,
): Promise<readonly Problem[]> {
  const mentions = rules.flatMap(({ name, notifiers: named }) =>
    named.filter((notifier) => notifiers[notifier] === undefined).map((notifier) => ({ rule: name, notifier })),
  );
  return mentions.length === 0 ? [] : inTurns(problemsOf(mentions, source));
}

interface Mention {
  readonly rule: string;
  readonly notifier: string;
}

interface Place {
  readonly document: YamlDocument;
  readonly path: Path;
}

/** Where the rule names it last; a place that no file has is that of all of them. */
function* problemsOf(mentions: readonly Mention[], source: RulesSource): Steps<readonly Problem[]> {
  const places = yield* placesIn(source);
  const problems: Problem[] = [];
  for (const mention of mentions) {
    const { rule, notifier } = mention;
    const message = `rule "${rule}": notifier ${notifier} lacks its settings (notifiers.${notifier} in the configuration)`;
    const place = places.get(keyOf(mention));
    problems.push(
      place === undefined
        ? fileProblem(source.files.join(", "), message)
        : problemAt(place.document, place.path, { message }),
    );
    yield;
  }
  return problems;
}

function* placesIn({ files, readFile }: RulesSource): Steps<ReadonlyMap<string, Place>> {
  const places = new Map<string, Place>();
  for (const file of files) {
    const { documents } = yield* readYamlList(file, readFile(file));
    for (const document of documents) {
      notePlaces(document, places);
      yield;
    }
  }
  return places;
}

function notePlaces(document: YamlDocument, places: Map<string, Place>): void {
  const blocks = Array.isArray(document.value) ? document.value : [];
  for (const [index, block] of blocks.entries()) {
    const { rule, notifiers } = (block ?? {}) as { readonly rule?: unknown; readonly notifiers?: unknown };
    for (const [position, notifier] of (Array.isArray(notifiers) ? notifiers : []).entries()) {
      const key = keyOf({ rule: String(rule).trim(), notifier: String(notifier) });
      places.set(key, { document, path: [index, "notifiers", position] });
    }
  }
}

function keyOf({ rule, notifier }: Mention): string {
  return JSON.stringify([rule, notifier]);
}
