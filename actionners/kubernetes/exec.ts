import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { text } from "../../src/schema/field.ts";
import { aboutShells, runInShell } from "./run-in-shell.ts";
import { shellCommand, tokensOf } from "./tokens.ts";

export const exec = defineActionner({
  id: "kubernetes:exec",
  summary: "Run a command in the container that raised the event",
  description: aboutShells.join("\n"),
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

  async run(call) {
    const { event, params, facts } = call;
    return runInShell(call, "command", shellCommand(params.shell, params.command, tokensOf(event, facts)));
  },
});
