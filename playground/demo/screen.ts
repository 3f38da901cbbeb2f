import { styleText } from "node:util";
import type { Pod } from "../wire.ts";
import { statusOf } from "./cluster.ts";
import { type Difference, differences, type Mark } from "./differences.ts";
import type { LogEntry } from "./hallux-process.ts";

const colors = { "+": "green", "-": "red", "~": "yellow", " ": undefined } as const;
const narrowest = 60;
const widest = 100;
const labelWidth = 15;

/** Writes the show: short, aligned, without colours where the stream takes none. */
export class Screen {
  readonly #stream: NodeJS.WriteStream;
  readonly #width: number;
  #steps = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#width = Math.min(Math.max(stream.columns ?? widest, narrowest), widest);
  }

  title(text: string): void {
    this.#say(this.#styled("bold", text));
  }

  /** A numbered step. */
  step(text: string): void {
    this.#steps += 1;
    this.#say(`\n${this.#styled("bold", `${this.#steps}. ${text}`)}`);
  }

  /** Wrapped, with a word or two in front. */
  line(label: string, text: string): void {
    const [first = "", ...rest] = wrapped(text, this.#width - labelWidth - 2);
    this.#say(`  ${this.#styled("cyan", label)}${" ".repeat(labelWidth - label.length)}${first}`);
    for (const more of rest) {
      this.#say(`${" ".repeat(labelWidth + 2)}${more}`);
    }
  }

  /** To be copied: never broken. */
  commands(...lines: readonly string[]): void {
    for (const line of lines) {
      this.#say(`    ${line}`);
    }
  }

  /** Line by line as it is, indented. */
  block(text: string): void {
    for (const line of text.trimEnd().split("\n")) {
      const indent = line.length - line.trimStart().length;
      for (const part of wrapped(line.trimStart(), this.#width - indent - 4)) {
        this.#say(`    ${" ".repeat(indent)}${part}`.trimEnd());
      }
    }
  }

  /** How an action ended, as Hallux logged it. */
  action({ rule = "", actionner = "", status = "", message = "", duration_ms = 0, undo }: LogEntry): void {
    this.line(`→ ${status}`, `${actionner}: ${message}, ${duration_ms} ms (rule "${rule}")`);
    if (undo !== undefined) {
      this.line("  undo", undo);
    }
  }

  pods(pods: readonly Pod[]): void {
    this.#table(differences(pods, pods), true);
  }

  /** All pods that were there or are, and what is different now. */
  comparison(before: readonly Pod[], after: readonly Pod[]): void {
    this.#table(differences(before, after), true);
  }

  /** The same without the pods that stayed as they were. */
  changes(before: readonly Pod[], after: readonly Pod[]): void {
    this.#table(
      differences(before, after).filter(({ mark }) => mark !== " "),
      false,
    );
  }

  #table(found: readonly Difference[], headed: boolean): void {
    const columns = [0, 1, 2].map((column) => Math.max(9, ...found.map((each) => cells(each)[column]?.length ?? 0)));
    if (headed) {
      this.#marked(" ", row(["NAMESPACE", "NAME", "STATUS", "LABELS"], columns));
    }
    for (const difference of found) {
      this.#marked(difference.mark, row([...cells(difference), difference.kept.join(",")], columns));
      for (const label of difference.gained) {
        this.#marked("+", row(["", label], columns));
      }
    }
  }

  #marked(mark: Mark, text: string): void {
    this.#say(this.#styled(colors[mark], `  ${mark} ${text}`));
  }

  #styled(format: "bold" | "cyan" | (typeof colors)[Mark], text: string): string {
    return format === undefined || text === "" ? text : styleText(format, text, { stream: this.#stream });
  }

  #say(text: string): void {
    this.#stream.write(`${text}\n`);
  }
}

function cells({ mark, pod }: Difference): readonly string[] {
  return [pod.metadata.namespace ?? "", pod.metadata.name, mark === "-" ? "deleted" : statusOf(pod)];
}

function row(texts: readonly string[], columns: readonly number[]): string {
  return texts
    .map((text, column) => text.padEnd(columns[column] ?? 0))
    .join("  ")
    .trimEnd();
}

/** Broken between words. */
function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let current = "";
  for (const word of text.split(" ")) {
    if (current !== "" && current.length + 1 + word.length > width) {
      lines.push(current);
      current = word;
    } else {
      current = current === "" ? word : `${current} ${word}`;
    }
  }
  return [...lines, current];
}
