import { Command, Option } from "commander";
import { stringify } from "yaml";
import type { Catalogue } from "../catalogue/catalogue.ts";
import { describeEntries, type EntryDescription, type EntryKind } from "../catalogue/describe.ts";
import { renderEntry, renderTable, traitText } from "../catalogue/render.ts";
import { didYouMean } from "../schema/problem.ts";

export interface CatalogueDeps {
  readonly catalogue: Catalogue;
  /** To standard output. */
  readonly write: (text: string) => void;
  /** To standard error. */
  readonly writeError: (text: string) => void;
  readonly setExitCode: (code: number) => void;
  /** Of the terminal that is written to, where it is one; 0 where that does not say. */
  readonly columns?: number | undefined;
}

interface Options {
  readonly output: "table" | "json" | "yaml";
}

const maxLineWidth = 120;

const whatTheyAre: Readonly<Record<EntryKind, string>> = {
  actionners: "what actions can do",
  contexts: "the facts that actions can have fetched beforehand (additional_contexts)",
  outputs: "where actions can store what they collect",
  notifiers: "whom outcomes can be told to",
};

/** `hallux actionners list`, and the same for each kind. */
export function entriesCommand(kind: EntryKind, deps: CatalogueDeps): Command {
  return new Command(kind).description(`show ${whatTheyAre[kind]}`).addCommand(
    new Command("list")
      .description("list all, or show one with its parameters and examples")
      .argument("[name]", "show this one whole")
      .addOption(
        new Option("-o, --output <format>", "how to print").choices(["table", "json", "yaml"]).default("table"),
      )
      .action((name: string | undefined, options: Options) =>
        name === undefined ? listAll(kind, options, deps) : showOne(kind, { name, ...options }, deps),
      ),
  );
}

function listAll(kind: EntryKind, { output }: Options, { catalogue, write, columns }: CatalogueDeps): void {
  const entries = describeEntries(kind, catalogue);
  const lineWidth = Math.min(columns || maxLineWidth, maxLineWidth);
  write(output === "table" ? tableOf(kind, entries, lineWidth) : encode(entries.map(plain), output));
}

function showOne(kind: EntryKind, options: Options & { readonly name: string }, deps: CatalogueDeps): void {
  const { name, output } = options;
  const entries = describeEntries(kind, deps.catalogue);
  const entry = entries.find(({ id }) => id === name);
  if (entry === undefined) {
    deps.writeError(`error: ${unknownEntry(kind, name, entries)}\n`);
    deps.setExitCode(1);
    return;
  }
  deps.write(output === "table" ? renderEntry(entry) : encode(plain(entry), output));
}

/** The traits that the table shows; the others are told with the entry. */
const traitColumns: Readonly<Record<EntryKind, readonly string[]>> = {
  actionners: ["target", "continues", "idempotent", "destructive"],
  contexts: ["target"],
  outputs: [],
  notifiers: [],
};

function tableOf(kind: EntryKind, entries: readonly EntryDescription[], lineWidth: number): string {
  const header = ["id", ...traitColumns[kind], "summary"].map((name) => name.toUpperCase());
  const rows = entries.map(({ id, traits, summary }) => [
    id,
    ...traitColumns[kind].map((name) => firstWord(traitText(traits[name]))),
    summary,
  ]);
  return renderTable([header, ...rows], lineWidth);
}

/** `pod (k8s.pod.name, …)` → `pod`. */
function firstWord(text: string): string {
  return text.split(" ", 1).join("");
}

/** Flat, for machines: the traits are keys of the entry. */
function plain({ id, summary, description, traits, ...rest }: EntryDescription): object {
  return { id, summary, ...(description !== undefined && { description }), ...traits, ...rest };
}

function encode(value: unknown, format: "json" | "yaml"): string {
  return format === "json"
    ? `${JSON.stringify(value, undefined, 2)}\n`
    : stringify(value, { lineWidth: 0, blockQuote: "literal" });
}

function unknownEntry(kind: EntryKind, name: string, entries: readonly EntryDescription[]): string {
  const ids = entries.map(({ id }) => id);
  const hint = didYouMean(name, ids) ?? `known: ${ids.join(", ")}`;
  return `no ${kind.slice(0, -1)} is called "${name}" (${hint})`;
}
