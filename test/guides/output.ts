/** What is different each time, and how it is told from what is not. */
const masks: readonly (readonly [RegExp, string])[] = [
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<id>"],
  [/\b[0-9a-f]{64}\b|\b[0-9a-f]{4,}…/g, "<digest>"],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<time>"],
  [/\b\d+(\.\d+)? ?(ms|s|m|h|d)(\d+s)?\b/g, "<duration>"],
  [/\bnode-\d+\b/g, "<node>"],
  [/[ \t]+/g, " "],
  [/ +$/gm, ""],
];

/**
 * Whether the output is what a page shows. Identities, times, durations and the width of columns are not compared; `…` in what is shown
 * stands for anything, on a line of its own for any number of lines.
 */
export function agrees(shown: string, output: string): boolean {
  const lines = masked(shown)
    .trim()
    .split("\n")
    .map((line) => (line.trim() === "…" ? "(?:.*\n)*?" : `${line.split("…").map(escaped).join(".*")}\n`));
  return new RegExp(`^${lines.join("")}$`).test(`${masked(output).trim()}\n`);
}

function masked(text: string): string {
  return masks.reduce((left, [what, by]) => left.replaceAll(what, by), text);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
