import { ActionError } from "../../catalogue/errors.ts";
import type { CommandEnding, ExecStream } from "./port.ts";

/** What a command writes to its standard output, chunk by chunk, and then how it ended. */
export type Running = AsyncGenerator<Uint8Array, CommandEnding>;

/** The same for whom only the output concerns at first. */
export function streamOf(running: Running): ExecStream {
  const { promise: ended, resolve, reject } = Promise.withResolvers<CommandEnding>();
  // Who reads the output learns of a failure there.
  ended.catch(() => undefined);

  async function* stdout(): AsyncGenerator<Uint8Array, void> {
    try {
      resolve(yield* running);
    } catch (error) {
      reject(error);
      throw error;
    } finally {
      reject(new ActionError("cancelled", "the command's output was not read to its end"));
    }
  }

  return { stdout: stdout(), ended };
}

/** A stream that is there later: it, too, begins when it is first read. */
export function laterStream(open: () => Promise<ExecStream>): ExecStream {
  async function* running(): Running {
    const { stdout, ended } = await open();
    yield* stdout;
    return ended;
  }

  return streamOf(running());
}
