import { describeProblem, type Problem } from "../schema/problem.ts";

/** A command cannot do what it was asked for. It says to whoever typed it what is wrong, and what to do. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  /** All that is told, without the last line end. */
  readonly text: string;

  /** One sentence, or all that is wrong in the files that the command reads. */
  constructor(what: string | readonly Problem[], options?: ErrorOptions) {
    const told = typeof what === "string" ? what : what.map(describeProblem).join("\n");
    super(told, options);
    this.text = typeof what === "string" ? `error: ${what}` : told;
  }
}

export interface Complaining {
  /** To standard error. */
  readonly writeError: (text: string) => void;
  readonly setExitCode: (code: number) => void;
}

/** Runs it; a `CommandFailure` is told, and the exit code says so. */
export async function telling({ writeError, setExitCode }: Complaining, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof CommandFailure)) {
      throw error;
    }
    writeError(`${error.text}\n`);
    setExitCode(1);
  }
}
