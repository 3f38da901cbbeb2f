import type { Config } from "../config/schema.ts";
import type { RuleSet } from "../rules/rule.ts";
import type { Problem } from "../schema/problem.ts";
import { fileProblem, type Path, problemAt, readYaml } from "../schema/yaml.ts";

/** The rules files, which have loaded. */
export interface RulesSource {
  readonly files: readonly string[];
  readonly readFile: (path: string) => string;
}

/** Notifiers that rules name and the configuration does not complete. */
export function unusableNotifiers({ rules }: RuleSet, { notifiers }: Config, source: RulesSource): readonly Problem[] {
  return rules.flatMap(({ name, notifiers: named }) =>
    named
      .filter((notifier) => notifiers[notifier] === undefined)
      .map((notifier) => {
        const settings = `notifiers.${notifier} in the configuration`;
        return problemOf(
          { rule: name, notifier },
          `rule "${name}": notifier ${notifier} lacks its settings (${settings})`,
          source,
        );
      }),
  );
}

interface Mention {
  readonly rule: string;
  readonly notifier: string;
}

/** Where the rule names it last; a place that no file has is that of all of them. */
function problemOf(mention: Mention, message: string, { files, readFile }: RulesSource): Problem {
  for (const file of files.toReversed()) {
    const { document } = readYaml(file, readFile(file));
    const path = mentionIn(document?.value, mention);
    if (document !== undefined && path !== undefined) {
      return problemAt(document, path, { message });
    }
  }
  return fileProblem(files.join(", "), message);
}

function mentionIn(value: unknown, { rule, notifier }: Mention): Path | undefined {
  const blocks: readonly unknown[] = Array.isArray(value) ? value : [];
  for (const [index, block] of blocks.entries()) {
    const { rule: name, notifiers } = (block ?? {}) as { readonly rule?: unknown; readonly notifiers?: unknown };
    const position = String(name).trim() === rule && Array.isArray(notifiers) ? notifiers.indexOf(notifier) : -1;
    if (position >= 0) {
      return [index, "notifiers", position];
    }
  }
  return undefined;
}
