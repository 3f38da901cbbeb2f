import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { success } from "../../src/catalogue/outcome.ts";
import type { ExecResult } from "../../src/clients/kubernetes/port.ts";
import { text } from "../../src/schema/field.ts";
import { containerOf } from "./containers.ts";
import { podTarget } from "./pod-target.ts";
import { shellCommand, tokensOf } from "./tokens.ts";

/** Of standard output and of standard error: together what an outcome keeps. */
const maxOutputBytes = 8 * 1024;
const maxErrorLength = 500;

export const exec = defineActionner({
  id: "kubernetes:exec",
  summary: "Run a command in the container that raised the event",
  description: [
    "The event's fields and the contexts' facts are there as environment variables: `fd.name` as `$FD_NAME`, `proc.args[0]` as",
    "`$PROC_ARGS_0`, and `$PRIORITY`, `$HOSTNAME`, `$RULE`, `$SOURCE`, `$TAGS`. Their values are the attacker's, and reach the",
    'shell as data: quote them (`"$FD_NAME"`), and do not hand them to `eval` or `sh -c`.',
    `Write \`"\${FD_NAME:?}"\` to stop where the event has no such field.`,
    "Variables that a shell or a loader obeys (`PATH`, `LD_PRELOAD` …) keep the container's values.",
    "",
    "An exit code other than 0 is a failure. When the action runs out of time Hallux stops waiting; what was started in the",
    "container may go on.",
  ].join("\n"),
  target: "pod",
  params: {
    command: text("What the shell runs", { required: true, minLength: 1 }),
    shell: text("The shell, in the container; any POSIX shell", { default: "/bin/sh", minLength: 1 }),
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    { apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] },
  ],
  destructive: true,
  idempotent: false,
  continues: true,
  output: "none",
  undo: "What the command did, only another command can take back.",
  examples: [
    { title: "Remove the file that was written", parameters: { command: `rm -f -- "\${FD_NAME:?}"` } },
    { title: "Stop the process", parameters: { command: `kill -STOP "\${PROC_VPID:?}"`, shell: "/bin/bash" } },
  ],

  async run({ event, target, params, facts, clients, dryRun, signal }) {
    const pod = await clients.kubernetes.getPod(target, signal);
    const container = containerOf(event, pod).name;
    const { argv, cut } = shellCommand(params.shell, params.command, tokensOf(event, facts));

    const result = await clients.kubernetes.exec(pod, { container, command: argv, maxOutputBytes }, signal);

    if (result.exitCode !== 0) {
      throw exitError(result, container);
    }
    const objects = { namespace: pod.namespace, pod: pod.name, container };
    if (dryRun) {
      return success("the command can be run", { target: podTarget(pod), objects });
    }
    const notes = [
      ...(cut.length > 0 ? [`too long and cut: ${cut.join(", ")}`] : []),
      ...(result.truncated ? ["only the start of its output is kept"] : []),
    ];
    return success(["command exited with code 0", ...notes].join("; "), {
      target: podTarget(pod),
      objects: { ...objects, exit_code: "0" },
      text: result.stdout + result.stderr,
    });
  },
});

function exitError({ exitCode, stdout, stderr }: ExecResult, container: string): ActionError {
  const said = (stderr.trim() || stdout.trim()).slice(0, maxErrorLength);
  const message = `command exited with code ${exitCode} in container ${container}`;
  return new ActionError("internal", said === "" ? message : `${message}: ${said}`);
}
