import type { Call } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { type Result, success } from "../../src/catalogue/outcome.ts";
import type { ExecResult } from "../../src/clients/kubernetes/port.ts";
import type { Fields } from "../../src/schema/field.ts";
import { containerOf } from "./containers.ts";
import { podTarget } from "./pod-target.ts";
import type { ShellCommand } from "./tokens.ts";

/** Of standard output and of standard error: together what an outcome keeps. */
const maxOutputBytes = 8 * 1024;
const maxErrorLength = 500;

/** For the reference page. */
export const aboutShells: readonly string[] = [
  "The event's fields and the contexts' facts are there as environment variables: `fd.name` as `$FD_NAME`, `proc.args[0]` as",
  "`$PROC_ARGS_0`, and `$PRIORITY`, `$HOSTNAME`, `$RULE`, `$SOURCE`, `$TAGS`. Their values are the attacker's, and reach the",
  'shell as data: quote them (`"$FD_NAME"`), and do not hand them to `eval` or `sh -c`.',
  `Write \`"\${FD_NAME:?}"\` to stop where the event has no such field.`,
  "Variables that a shell or a loader obeys (`PATH`, `LD_PRELOAD` …) keep the container's values.",
  "",
  "An exit code other than 0 is a failure. When the action runs out of time Hallux stops waiting; what was started in the",
  "container may go on.",
];

type What = "command" | "script";

/** Runs it in the container that raised the event, and keeps what it wrote. Throws where it ends with another code than 0. */
export async function runInShell(
  { event, target, clients, dryRun, signal }: Omit<Call<Fields, "pod">, "params">,
  what: What,
  { argv, stdin, cut }: ShellCommand,
): Promise<Result> {
  const pod = await clients.kubernetes.getPod(target, signal);
  const container = containerOf(event, pod).name;
  const options = { container, command: argv, maxOutputBytes, ...(stdin === undefined ? {} : { stdin }) };

  const result = await clients.kubernetes.exec(pod, options, signal);

  if (result.exitCode !== 0) {
    throw exitError(what, result, container);
  }
  const objects = { namespace: pod.namespace, pod: pod.name, container };
  if (dryRun) {
    return success(`the ${what} can be run`, { target: podTarget(pod), objects });
  }
  const notes = [
    ...(cut.length > 0 ? [`too long and cut: ${cut.join(", ")}`] : []),
    ...(result.truncated ? ["only the start of its output is kept"] : []),
  ];
  return success([`${what} exited with code 0`, ...notes].join("; "), {
    target: podTarget(pod),
    objects: { ...objects, exit_code: "0" },
    text: result.stdout + result.stderr,
  });
}

function exitError(what: What, { exitCode, stdout, stderr }: ExecResult, container: string): ActionError {
  const said = (stderr.trim() || stdout.trim()).slice(0, maxErrorLength);
  const message = `${what} exited with code ${exitCode} in container ${container}`;
  return new ActionError("internal", said === "" ? message : `${message}: ${said}`, { text: stdout + stderr });
}
