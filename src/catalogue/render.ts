import type { EntryDescription, FieldDescription } from "./describe.ts";

/** What the last column needs to be read beside the others. */
const minLastWidth = 16;

/** Rows in aligned columns; the last column goes on below itself where the line is full, and below its row where there is no room. */
export function renderTable(rows: readonly (readonly string[])[], lineWidth: number): string {
  const columns = Math.max(...rows.map((row) => row.length), 0);
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + gap.length, 0);
  const lines = rows.flatMap((row) => {
    const cells = row.slice(0, -1);
    if (before > 0 && lineWidth - before < Math.min(minLastWidth, widths.at(-1) ?? 0)) {
      return [alignedRow(cells, widths), ...wrap(row.at(-1) ?? "", lineWidth - gap.length).map((line) => gap + line)];
    }
    const [first = "", ...following] = wrap(row.at(-1) ?? "", lineWidth - before);
    return [alignedRow([...cells, first], widths), ...following.map((line) => " ".repeat(before) + line)];
  });
  return lines.map((line) => `${line}\n`).join("");
}

/** One entry, whole, for a terminal. */
export function renderEntry(entry: EntryDescription): string {
  const blocks = [
    [`${entry.id}: ${entry.summary}`],
    entry.description === undefined ? [] : [entry.description],
    indented(renderTable(traitRows(entry), Number.POSITIVE_INFINITY)),
    fieldBlock("Parameters", entry.parameters),
    fieldBlock("Settings, in the configuration file", entry.settings),
    entry.permissions.length === 0 ? [] : ["Permissions", ...entry.permissions.map((one) => `  ${one}`)],
    entry.undo === undefined ? [] : ["Undo", `  ${entry.undo}`],
    ...entry.examples.map(({ title, rule }) => [`Example: ${title}`, ...indented(rule)]),
  ];
  return blocks
    .filter((block) => block.length > 0)
    .map((block) => `${block.join("\n")}\n`)
    .join("\n");
}

/** Cells are Markdown; a bar or a line break in one stays in it. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |\n`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("");
}

/** One entry, whole, as what follows the heading of its reference page. */
export function markdownEntry(entry: EntryDescription): string {
  const blocks = [
    `${entry.summary}.\n`,
    entry.description === undefined ? "" : `${entry.description}\n`,
    bulletList(traitRows(entry).map(([name, value]) => `${name}: ${value}`)),
    section("Parameters", fieldTable("Parameter", entry.parameters)),
    section("Settings", fieldTable("Setting", entry.settings)),
    section("Permissions", bulletList(entry.permissions.map(code))),
    section("Undo", entry.undo === undefined ? "" : `${entry.undo}\n`),
    section(
      entry.examples.length > 1 ? "Examples" : "Example",
      entry.examples.map(({ title, rule }) => `${title}:\n\n\`\`\`yaml\n${rule}\`\`\`\n`).join("\n"),
    ),
  ];
  return blocks.filter((block) => block !== "").join("\n");
}

/** `yes`, `no`, or the words themselves. */
export function traitText(value: EntryDescription["traits"][string] | undefined): string {
  if (typeof value === "boolean") {
    return value ? "yes" : "no";
  }
  return typeof value === "string" || value === undefined ? (value ?? "") : value.join(", ");
}

/** A default as it would stand in YAML: `[]`, `$LATEST`, `{}`, `""`. */
export function defaultText({ default: fallback }: FieldDescription): string | undefined {
  const plain = fallback === undefined || (typeof fallback === "string" && fallback !== "");
  return plain ? fallback : JSON.stringify(fallback);
}

export function code(text: string): string {
  return `\`${text}\``;
}

const gap = "  ";

function alignedRow(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join(gap)
    .trimEnd();
}

/** Between words; a word longer than a line stays whole. */
function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}

function indented(text: string): readonly string[] {
  return text === ""
    ? []
    : text
        .trimEnd()
        .split("\n")
        .map((line) => `  ${line}`.trimEnd());
}

function traitRows({ traits }: EntryDescription): readonly (readonly [string, string])[] {
  return Object.entries(traits).map(([name, value]) => [name, traitText(value)]);
}

function fieldBlock(title: string, fields: readonly FieldDescription[]): readonly string[] {
  const rows = fields.map((field) => [field.name, field.type, valueText(field), sentenceOf(field)]);
  return fields.length === 0 ? [] : [title, ...indented(renderTable(rows, Number.POSITIVE_INFINITY))];
}

function fieldTable(title: string, fields: readonly FieldDescription[]): string {
  const rows = fields.map((field) => [code(field.name), field.type, markdownValue(field), sentenceOf(field)]);
  return fields.length === 0 ? "" : markdownTable([title, "Type", "Default", "Meaning"], rows);
}

function valueText(field: FieldDescription): string {
  const fallback = defaultText(field);
  return field.required ? "required" : fallback === undefined ? "" : `= ${fallback}`;
}

function markdownValue(field: FieldDescription): string {
  const fallback = defaultText(field);
  return field.required ? "required" : fallback === undefined ? "" : code(fallback);
}

/** What it means, its bounds and its older names. */
export function sentenceOf({ summary, bounds, aliases }: FieldDescription): string {
  const more = [bounds, aliases.length === 0 ? undefined : `also ${aliases.join(", ")}`].filter(
    (part) => part !== undefined,
  );
  return more.length === 0 ? summary : `${summary} (${more.join("; ")})`;
}

function section(title: string, content: string): string {
  return content === "" ? "" : `## ${title}\n\n${content}`;
}

function bulletList(items: readonly string[]): string {
  return items.map((item) => `- ${item}\n`).join("");
}
