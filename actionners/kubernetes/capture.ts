import { ActionError } from "../../src/catalogue/errors.ts";
import type { Kubernetes, Pod } from "../../src/clients/kubernetes/port.ts";

/** Of a container that was started for a capture, beyond the capture itself: it ends so much later where nobody ends it before. */
export const spareSeconds = 30;

/** GNU's `timeout` where it has ended the command; that of busybox gives the command's own exit code. */
const endedInTime = 124;
const maxErrorLength = 500;

/** `timeout` sends SIGINT, on which tcpdump and sysdig write what they still hold and end. */
export function forSeconds(seconds: number, command: readonly string[]): string[] {
  return ["timeout", "-s", "INT", String(seconds), ...command];
}

export interface CaptureCommand {
  readonly container: string;
  readonly command: readonly string[];
}

/** What the command writes. Throws at its end where the command failed: what came until then is not to be taken for a capture. */
export async function* captured(
  kubernetes: Kubernetes,
  pod: Pod,
  { container, command }: CaptureCommand,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const { stdout, ended } = kubernetes.execStream(pod, { container, command }, signal);
  yield* stdout;
  const { exitCode, stderr } = await ended;
  if (exitCode !== 0 && exitCode !== endedInTime) {
    const said = stderr.trim().slice(0, maxErrorLength);
    const failed = `the capture in container ${container} ended with exit code ${exitCode}`;
    throw new ActionError("internal", said === "" ? failed : `${failed}: ${said}`);
  }
}
