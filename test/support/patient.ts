import { type Running, streamOf } from "../../src/clients/kubernetes/exec-stream.ts";
import { CommandNotStarted, type ExecStream, type Kubernetes } from "../../src/clients/kubernetes/port.ts";

/**
 * The same, but a command waits for its container, which may be one that Hallux itself has added: nodes whose containers are
 * processes say that one runs before commands can be run in it, and refuse those that come more than a second too early.
 */
export function patient(kubernetes: Kubernetes): Kubernetes {
  return {
    ...kubernetes,
    async exec(pod, options, signal) {
      for (;;) {
        try {
          return await kubernetes.exec(pod, options, signal);
        } catch (error) {
          mustBeStarting(error);
        }
      }
    },
    execStream: (pod, options, signal) => streamOf(onceStarted(() => kubernetes.execStream(pod, options, signal))),
  };
}

async function* onceStarted(open: () => ExecStream): Running {
  for (;;) {
    const { stdout, ended } = open();
    try {
      yield* stdout;
      return await ended;
    } catch (error) {
      mustBeStarting(error);
    }
  }
}

function mustBeStarting(error: unknown): void {
  if (!(error instanceof CommandNotStarted && /: container "[^"]*" did not start$/.test(error.message))) {
    throw error;
  }
}
