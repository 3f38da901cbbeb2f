import { spawnSync } from "node:child_process";

/** What a reader of a page does, one after another. */
export type Step = Command | File;

export interface Command {
  readonly kind: "command";
  readonly line: number;
  readonly text: string;
  /** What the page says that it prints; undefined where the page does not show it. */
  readonly shows: string | undefined;
}

export interface File {
  readonly kind: "file";
  readonly line: number;
  readonly name: string;
  readonly text: string;
}

const shells = new Set(["console", "sh", "bash", "shell"]);

/**
 * Of shell blocks the commands: in a block with prompts (`$ `) each with the output below it, else those of the script. Other blocks are
 * files where their first line is `# name.ext`, or the line before the block ends with `` `name.ext`: ``.
 */
export function stepsOf(markdown: string): readonly Step[] {
  return [...markdown.matchAll(/^( *)```(\w*)\n(.*?)^\1```$/gms)].flatMap((block): readonly Step[] => {
    const [, indent = "", language = "", body = ""] = block;
    const before = markdown.slice(0, block.index);
    const line = before.split("\n").length + 1;
    const text = body.replaceAll(new RegExp(`^${indent}`, "gm"), "");
    return shells.has(language) ? commandsOf(text, line) : fileOf(text, line, before);
  });
}

/** One that shows prompts in a block that is none of a shell would not be run. */
export function disguised(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^ *```(\w*)\n *(\$ .*)/gm)]
    .filter(([, language = ""]) => !shells.has(language))
    .map(([, , command = ""]) => command);
}

function fileOf(text: string, line: number, before: string): readonly File[] {
  const above = /`([\w.-]+\.\w+)`:\n\n$/.exec(before)?.[1];
  const [first = "", name = above] = /^(?:#|\/\/) ([\w.-]+\.(?:yaml|json))\n/.exec(text) ?? [];
  // JSON has no comments.
  const content = first.startsWith("//") ? text.slice(first.length) : text;
  return name === undefined ? [] : [{ kind: "file", line, name, text: content }];
}

/** Of a block, of which the first line is that line of the page. */
export function commandsOf(block: string, line: number): readonly Command[] {
  const lines = block.split("\n").slice(0, -1);
  return lines.some((one) => one.startsWith("$ ")) ? sessionOf(lines, line) : scriptOf(lines, line);
}

function sessionOf(lines: readonly string[], line: number): readonly Command[] {
  const commands: Command[] = [];
  for (let at = 0; at < lines.length; ) {
    const [first = "", ...rest] = lines.slice(at);
    const text = completeIn([first.slice("$ ".length), ...rest]);
    const output = outputFrom(lines, at + text.split("\n").length);
    const shows = output.length === 0 ? undefined : `${output.join("\n")}\n`;
    commands.push({ kind: "command", line: line + at, text, shows });
    at += text.split("\n").length + output.length;
  }
  return commands;
}

function scriptOf(lines: readonly string[], line: number): readonly Command[] {
  const commands: Command[] = [];
  for (let at = 0; at < lines.length; ) {
    const text = completeIn(lines.slice(at));
    if (!/^\s*(#.*)?$/.test(text)) {
      commands.push({ kind: "command", line: line + at, text, shows: undefined });
    }
    at += text.split("\n").length;
  }
  return commands;
}

/** As many of the first lines as the shell wants for a command; the first alone where it understands none, and says so when it is run. */
function completeIn(lines: readonly string[]): string {
  for (let taken = 1; taken <= lines.length; taken++) {
    const text = lines.slice(0, taken).join("\n");
    if (!text.endsWith("\\") && isComplete(text)) {
      return text;
    }
  }
  return lines[0] ?? "";
}

function isComplete(text: string): boolean {
  const { status, stderr } = spawnSync("bash", ["-n"], { input: `${text}\n`, encoding: "utf8" });
  return status === 0 && stderr === "";
}

function outputFrom(lines: readonly string[], at: number): readonly string[] {
  const end = lines.findIndex((line, index) => index >= at && line.startsWith("$ "));
  return lines.slice(at, end === -1 ? undefined : end);
}
