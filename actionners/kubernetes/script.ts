import { isUtf8 } from "node:buffer";
import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { fileNames, text } from "../../src/schema/field.ts";
import { readRegularFile } from "../regular-file.ts";
import { aboutShells, runInShell } from "./run-in-shell.ts";
import { shellScript, tokensOf } from "./tokens.ts";

const maxScriptBytes = 1024 * 1024;

export const script = defineActionner({
  id: "kubernetes:script",
  summary: "Run a script in the container that raised the event",
  description: [
    "The script reaches the shell by standard input, up to 1 MiB: nothing is written in the container, which needs nothing but the",
    "shell. The shell runs it once it has arrived whole. What the script starts reads from `/dev/null`.",
    "A `file` is read on the machine, or in the container, that Hallux runs in, each time the action runs.",
    "Line ends of Windows are taken for line ends; a `#!` line is a comment.",
    "",
    ...aboutShells,
  ].join("\n"),
  target: "pod",
  params: {
    script: text("The script itself; give this or `file`", { minLength: 1 }),
    file: fileNames(
      text("The path of the script on the machine that Hallux runs on; give this or `script`", { minLength: 1 }),
    ),
    shell: text("The shell, in the container; any POSIX shell", { default: "/bin/sh", minLength: 1 }),
  },
  check({ script, file }) {
    if ((script === undefined) === (file === undefined)) {
      return script === undefined ? "give script or file" : "give script or file, not both";
    }
    const fault = script === undefined ? undefined : faultOf(script);
    return fault === undefined ? undefined : `script ${fault}`;
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
  undo: "What the script did, only another script can take back.",
  examples: [
    {
      title: "Note who is connected and stop the process",
      parameters: { script: `cat /proc/net/tcp\nkill -STOP "\${PROC_VPID:?}"\n` },
    },
    {
      title: "A script mounted into Hallux",
      parameters: { file: "/etc/hallux/scripts/collect.sh", shell: "/bin/bash" },
    },
  ],

  async run(call) {
    const { event, params, facts } = call;
    const given = params.script ?? (await readScript(params.file ?? ""));
    const lines = given.replaceAll("\r\n", "\n");
    return runInShell(call, "script", shellScript(params.shell, lines, tokensOf(event, facts)));
  },
});

/** Throws `invalid` where the file is not there, cannot be read or is no script. */
async function readScript(path: string): Promise<string> {
  const bytes = await readRegularFile("script file", path, maxScriptBytes);
  const read = new TextDecoder().decode(bytes);
  const fault = faultOf(read) ?? (isUtf8(bytes) ? undefined : "is not UTF-8 text");
  if (fault !== undefined) {
    throw new ActionError("invalid", `script file ${path} ${fault}`);
  }
  return read;
}

function faultOf(script: string): string | undefined {
  if (Buffer.byteLength(script) > maxScriptBytes) {
    return `is longer than ${maxScriptBytes / 1024 / 1024} MiB`;
  }
  return script.includes("\0") ? "holds a NUL character, which no shell reads" : undefined;
}
