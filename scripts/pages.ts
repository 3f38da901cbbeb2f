import { type Command, Help } from "commander";
import { variables } from "../notifiers/template.ts";
import type { Catalogue } from "../src/catalogue/catalogue.ts";
import { describeEntries, describeFields, type EntryKind } from "../src/catalogue/describe.ts";
import { code, defaultText, markdownEntry, markdownTable, sentenceOf, traitText } from "../src/catalogue/render.ts";
import { variableOf } from "../src/config/given.ts";
import { atStartOnly, type Section, sectionsOf, switchedAtStartOnly, withoutEffect } from "../src/config/schema.ts";
import { rulesSchema } from "../src/rules/schema.ts";
import {
  type MetricDefinition,
  maxSeries,
  metricDefinitions,
  openLabels,
  overflowLabel,
} from "../src/telemetry/definitions.ts";

/** The reference, file by file: everything in it is declared in the code. */
export function referencePages(catalogue: Catalogue, program: Command): ReadonlyMap<string, string> {
  return new Map([
    ...kinds.flatMap((kind) => [[`${kind}.md`, indexPage(kind, catalogue)] as const, ...entryPages(kind, catalogue)]),
    ["templates.md", templatesPage()],
    ["configuration.md", configurationPage(catalogue)],
    ["cli.md", commandLinePage(program)],
    ["metrics.md", metricsPage()],
    ["rules.schema.json", `${JSON.stringify(rulesSchema(catalogue), undefined, 2)}\n`],
  ]);
}

interface IndexPage {
  readonly title: string;
  readonly introduction: string;
  /** Traits in the table at the top. */
  readonly traits: readonly string[];
}

const indexPages: Readonly<Record<EntryKind, IndexPage>> = {
  actionners: {
    title: "Actionners",
    introduction:
      "What an action of a rule can do. `continues` says whether the rule's next actions run afterwards, unless `continue` says " +
      "otherwise; what is `idempotent` is run again after a crash; what is `destructive` stays out of protected namespaces.",
    traits: ["continues", "idempotent", "destructive", "output"],
  },
  contexts: {
    title: "Contexts",
    introduction:
      "Facts that an action can have fetched beforehand, by `additional_contexts`. Where tokens are taken, each element is " +
      `one: \`node.hostname\` is \`\${NODE_HOSTNAME}\`.`,
    traits: ["elements"],
  },
  outputs: {
    title: "Outputs",
    introduction: "Where an action stores what it collects, by `output: { target, parameters }`.",
    traits: [],
  },
  notifiers: {
    title: "Notifiers",
    introduction:
      "Whom outcomes are told to: `default_notifiers` in the configuration are those of every rule, `notifiers` in a rule are more. " +
      "Settings stand in the configuration under `notifiers.<name>`.",
    traits: [],
  },
};

const kinds = Object.keys(indexPages) as readonly EntryKind[];

function indexPage(kind: EntryKind, catalogue: Catalogue): string {
  const { title, introduction, traits } = indexPages[kind];
  const rows = describeEntries(kind, catalogue).map((entry) => [
    `[${code(entry.id)}](${pathOf(kind, entry)})`,
    entry.summary,
    ...traits.map((name) => traitText(entry.traits[name])),
  ]);
  return page(title, introduction, [markdownTable(["Name", "What it does", ...traits], rows)]);
}

function entryPages(kind: EntryKind, catalogue: Catalogue): readonly (readonly [string, string])[] {
  return describeEntries(kind, catalogue).map((entry) => [
    pathOf(kind, entry),
    page(entry.id, `One of the [${kind}](../${kind}.md).`, [oneFolderDeeper(markdownEntry(entry))]),
  ]);
}

/** `actionners/kubernetes-label.md` */
function pathOf(kind: EntryKind, { id }: { readonly id: string }): string {
  return `${kind}/${id.replace(":", "-")}.md`;
}

/** Descriptions link from the place of the indexes. */
function oneFolderDeeper(markdown: string): string {
  return markdown.replaceAll("](../", "](../../");
}

function templatesPage(): string {
  const introduction =
    "What a notifier's `template` can say, between `{{` and `}}`, in [Liquid](https://liquidjs.com). What there is not is empty, and so is " +
    "its group: `{% if artifact %}`. How to write one: [notifications.md](../notifications.md#your-own-words).";
  const rows = Object.entries(variables).map(([name, { summary }]) => [code(name), summary]);
  return page("Templates", introduction, [markdownTable(["Variable", "What it says"], rows)]);
}

function configurationPage(catalogue: Catalogue): string {
  const introduction = [
    "`hallux server -c config.yaml`. Every setting is also an environment variable, which wins over the file: upper case, `.` as `_`;",
    "lists are separated by commas or blanks, maps are `name=value,name=value`. An empty setting counts as absent; of `auth` and `api` it is a mistake.",
    "A secret can stay in a file of its own: instead of `bearer_token`, `bearer_token_file` (`AUTH_BEARER_TOKEN_FILE`) names it. So can",
    "a template (`template_file`) and certificates (`ca_file`).",
    "`hallux config print` shows what is in effect and why. All but what says otherwise is in force as soon as it is",
    "[loaded again](../configuration.md#reload).",
  ].join("\n");
  return page("Configuration", introduction, sectionsOf(catalogue).map(configurationSection));
}

function configurationSection({ path, summary, fields }: Section): string {
  const name = path.join(".");
  const notes = notesOn(name);
  const rows = describeFields(fields).map((field) => {
    const dotted = [...path, field.name].join(".");
    const fallback = defaultText(field);
    return [
      code(dotted),
      code(variableOf(path, field.name)),
      field.type,
      field.required ? "required" : fallback === undefined ? "" : code(fallback),
      [sentenceOf(field), ...notesOn(dotted).filter((note) => !notes.includes(note))].join(". "),
    ];
  });
  return [
    `## ${name === "" ? "General" : name}\n`,
    summary === "" ? "" : `${[summary, ...notes].join(". ")}.\n`,
    rows.length === 0 ? "No settings.\n" : markdownTable(["Setting", "Variable", "Type", "Default", "Meaning"], rows),
  ]
    .filter((part) => part !== "")
    .join("\n");
}

/** On a setting, or a section. */
function notesOn(name: string): readonly string[] {
  const effect = withoutEffect[name];
  return [
    ...(effect === undefined ? [] : [`No effect: ${effect}`]),
    ...(includes(atStartOnly, name) || includes(atStartOnly, name.split(".")[0]) ? ["Read at start only"] : []),
    ...(includes(switchedAtStartOnly, name) ? ["Whether it is given is read at start only"] : []),
  ];
}

function includes(names: readonly string[], name: string | undefined): boolean {
  return name !== undefined && names.includes(name);
}

function metricsPage(): string {
  const definitions: readonly MetricDefinition[] = Object.values(metricDefinitions);
  const introduction = [
    "On `GET /metrics`, in the Prometheus text format, or as OpenMetrics 1.0 for a scraper that asks for it, as Prometheus does. What to look at:",
    "[operations.md](../operations.md#watch).",
  ].join("\n");
  const rows = definitions.map(({ name, type, labels, help }) => [code(name), type, labels.map(code).join(", "), help]);
  return page("Metrics", introduction, [
    markdownTable(["Metric", "Type", "Labels", "Meaning"], rows),
    "## Labels\n",
    `None of them ever holds what came with an event. What goes beyond ${maxSeries} label sets of a metric is counted together, under \`${overflowLabel}="true"\`.\n`,
    markdownTable(["Label", "Of", "Values"], labelRows(definitions)),
    "## Buckets\n",
    markdownTable(["Histogram", "Upper bounds, in seconds"], definitions.flatMap(bucketRow)),
    "## Exemplars\n",
    "As OpenMetrics each bucket of a histogram names the last event in it: `event_id` is the `event` that the sender was answered and `event_id` in the log, `trace_id` its",
    "trace, where it is traced. Prometheus keeps them with `--enable-feature=exemplar-storage`.\n",
  ]);
}

/** Labels with the same values in one row. */
function labelRows(definitions: readonly MetricDefinition[]): readonly (readonly string[])[] {
  const known: Readonly<Record<string, string>> = openLabels;
  const pairs = definitions.flatMap(({ name, labels, values }) =>
    labels.map((label) => ({ label, name, words: values?.[label]?.map(code).join(", ") ?? known[label] ?? "" })),
  );
  const groups = Map.groupBy(pairs, ({ label, words }) => `${label} ${words}`);
  return [...groups.values()].flatMap((same) =>
    same.slice(0, 1).map(({ label, words }) => [code(label), same.map(({ name }) => code(name)).join(", "), words]),
  );
}

function bucketRow({ name, buckets }: MetricDefinition): readonly (readonly string[])[] {
  return buckets === undefined ? [] : [[code(name), buckets.join(", ")]];
}

function commandLinePage(program: Command): string {
  const help = new Help();
  help.helpWidth = 100;
  const blocks = leavesOf(program).map(
    ({ path, command }) => `## ${path}\n\n\`\`\`text\n${help.formatHelp(command, help).trimEnd()}\n\`\`\`\n`,
  );
  return page("Command line", "In a clone, `npm run hallux -- <arguments>`.", blocks);
}

function leavesOf(command: Command, above = ""): readonly { readonly path: string; readonly command: Command }[] {
  const path = `${above} ${command.name()}`.trimStart();
  return command.commands.length === 0
    ? [{ path, command }]
    : command.commands.flatMap((below) => leavesOf(below, path));
}

function page(title: string, introduction: string, blocks: readonly string[]): string {
  const heading = `# ${title}\n\n<!-- Generated by \`npm run generate\` from the code: do not edit. -->\n`;
  return [heading, `${introduction}\n`, ...blocks].join("\n");
}
