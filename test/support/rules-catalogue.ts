import {
  type Catalogue,
  createCatalogue,
  defineActionner,
  defineContext,
  defineNotifier,
  defineOutput,
} from "../../src/catalogue/catalogue.ts";
import { success } from "../../src/catalogue/outcome.ts";
import type { TargetKind } from "../../src/events/target.ts";
import { choice, type Fields, fileNames, flag, integer, text, textList, textMap } from "../../src/schema/field.ts";

/** Entries whose parameters, outputs and targets differ in all the ways that a rules file can get wrong; they do nothing. */
export function rulesCatalogue(): Catalogue {
  return createCatalogue({
    actionners: [label, terminate, networkpolicy, remove, exec, script, log, download, lambda],
    contexts: [
      defineContext({ ...entry("k8snode"), target: "pod", elements: ["node.hostname"], fetch: async () => ({}) }),
      defineContext({ ...entry("aws"), target: "none", elements: ["aws.region"], fetch: async () => ({}) }),
    ],
    outputs: [
      defineOutput({
        ...entry("local:file"),
        params: { destination: text("Folder that exists", { required: true }) },
        examples: [],
        store: async () => ({ location: "/evidence/x" }),
      }),
    ],
    notifiers: [notifier("k8sevents"), notifier("webhook")],
  });
}

const label = actionner("kubernetes:label", {
  labels: textMap("Labels to set", {
    required: true,
    minProperties: 1,
    keys: { format: "label-key" },
    values: { format: "label-value" },
  }),
  level: choice("What is labelled", ["pod", "node"], { default: "pod" }),
});

const terminate = {
  ...actionner("kubernetes:terminate", {
    grace_period_seconds: integer("Seconds the pod gets to stop", { minimum: 0, default: 0 }),
    ignore_daemonsets: flag("Leave pods of a DaemonSet alone", { default: false }),
    ignore_statefulsets: flag("Leave pods of a StatefulSet alone", { default: false }),
    ignore_standalone_pods: flag("Leave pods without an owner alone", { default: true }),
    min_healthy_replicas: text("Replicas that must stay", { pattern: "^[0-9]+%?$" }),
  }),
  continues: false,
  destructive: true,
};

const networkpolicy = actionner("kubernetes:networkpolicy", {
  allow_cidr: textList("Ranges to allow", { default: [], items: { format: "cidr" }, aliases: ["allow"] }),
  allow_namespaces: textList("Namespaces to allow", { default: [] }),
});

const remove = { ...actionner("kubernetes:delete", {}, "resource"), destructive: true };

const exec = actionner("kubernetes:exec", {
  command: text("What to run", { required: true, minLength: 1 }),
  shell: text("What runs it", { default: "/bin/sh" }),
});

const script = {
  ...actionner("kubernetes:script", { script: text("The script"), file: fileNames(text("A file that holds it")) }),
  check: ({ script, file }: Readonly<Record<string, unknown>>) =>
    (script === undefined) === (file === undefined) ? 'give either "script" or "file"' : undefined,
};

const log = {
  ...actionner("kubernetes:log", { tail_lines: integer("Lines", { minimum: 1, default: 20 }) }),
  output: "optional" as const,
};

const download = {
  ...actionner("kubernetes:download", { file: text("Its path", { required: true, format: "tokens" }) }),
  output: "required" as const,
};

const lambda = actionner(
  "aws:lambda",
  {
    aws_lambda_name: text("The function", { required: true }),
    aws_lambda_alias_or_version: text("Its alias or version", { default: "$LATEST" }),
    aws_lambda_invocation_type: choice("How", ["RequestResponse", "Event", "DryRun"], { default: "RequestResponse" }),
  },
  "none",
);

function actionner<const P extends Fields>(id: `${string}:${string}`, params: P, target: TargetKind = "pod") {
  return defineActionner({
    ...entry(id),
    id,
    target,
    params,
    destructive: false,
    idempotent: true,
    continues: true,
    output: "none",
    undo: "Nothing to take back",
    examples: [],
    run: async () => success("done", { objects: {} }),
  });
}

function notifier(id: string) {
  return defineNotifier({ ...entry(id), settings: {}, notify: async () => undefined });
}

function entry<const I extends string>(id: I) {
  return { id, summary: `Do what ${id} does`, uses: [], rbac: [] } as const;
}
