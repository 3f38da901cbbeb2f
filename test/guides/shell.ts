import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

export interface Ended {
  readonly code: number;
  /** Both streams, as a terminal shows them. */
  readonly output: string;
}

/** A shell that a reader has open: variables, functions and the directory stay from command to command. */
export class Shell implements AsyncDisposable {
  readonly #bash: ChildProcess;
  readonly #statuses: AsyncIterator<string>;
  readonly #scratch: string;
  readonly #ended: Promise<void>;
  #count = 0;

  constructor(options: { readonly cwd: string; readonly scratch: string; readonly env: NodeJS.ProcessEnv }) {
    const { cwd, scratch, env } = options;
    const stdio = ["pipe", "ignore", "inherit", "pipe"] as const;
    this.#scratch = scratch;
    this.#bash = spawn("bash", ["--noprofile", "--norc"], { cwd, env, stdio: [...stdio], detached: true });
    this.#ended = new Promise((resolve) => this.#bash.once("exit", () => resolve()));
    this.#statuses = createInterface({ input: this.#bash.stdio[3] as Readable })[Symbol.asyncIterator]();
    this.#write("shopt -s expand_aliases\n");
  }

  /** Longer than any page has `kubectl` wait. */
  async run(command: string, seconds = 180): Promise<Ended> {
    const stem = join(this.#scratch, `command-${this.#count++}`);
    writeFileSync(`${stem}.sh`, `${command}\n`);
    this.#write(`. ${stem}.sh </dev/null >${stem}.out 2>&1 3>&-; echo "$?" >&3\n`);
    const late = setTimeout(() => this.#kill(), seconds * 1000);
    const { value, done } = await this.#statuses.next();
    clearTimeout(late);
    const output = readFileSync(`${stem}.out`, "utf8");
    if (done) {
      throw new Error(`the shell ended, or ${seconds} s passed, in: ${command}\n${output}`);
    }
    return { code: Number(value), output };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.#ended;
  }

  #write(text: string): void {
    (this.#bash.stdin as Writable).write(text);
  }

  /** With all that it still has in the background. */
  #kill(): void {
    const { pid, exitCode, signalCode } = this.#bash;
    if (pid !== undefined && exitCode === null && signalCode === null) {
      process.kill(-pid, "SIGKILL");
    }
  }
}
