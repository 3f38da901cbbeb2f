import { type Command, InvalidArgumentError, Option } from "commander";
import { Document, isMap, isSeq, visit } from "yaml";
import {
  type NeededPermission,
  needText,
  permissionText,
  type Role,
  type RoleRule,
  rolesOf,
} from "../catalogue/permissions.ts";
import { renderTable } from "../catalogue/render.ts";
import { printable, withUnseenShown } from "../telemetry/logs.ts";
import { jsonText } from "./encode.ts";
import { telling } from "./failure.ts";
import { type NeedsDeps, type NeedsOptions, needsCommand, readNeeds } from "./needs.ts";

interface Options extends NeedsOptions {
  readonly output: "yaml" | "json" | "table";
  readonly explain?: true;
  readonly name: string;
  readonly namespace?: string;
  readonly serviceAccount?: true;
}

/** Whom the permissions are for. */
export interface Account {
  /** Of the service account, the roles and their bindings. */
  readonly name: string;
  readonly namespace: string;
}

const defaultName = "hallux";
const lineWidth = 120;
/** It reads YAML 1.1, where a namespace called `no` or `0b1` needs quotes. */
const forKubectl = { compat: "yaml-1.1" } as const;

/** `hallux rbac`. */
export function rbacCommand(deps: NeedsDeps): Command {
  return needsCommand("rbac", "print the Kubernetes permissions that the rules need, and no more, for kubectl apply")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["yaml", "json", "table"]).default("yaml"))
    .option("--explain", "say which rule, action and notifier needs what; as JSON, instead of the roles")
    .option("--name <name>", "of the roles, their bindings and the service account", objectName, defaultName)
    .option(
      "--namespace <namespace>",
      `of the service account; by default that of the pod this runs in, else ${defaultName}`,
      objectName,
    )
    .option("--service-account", "print the service account, too")
    .action((options: Options) => telling(deps, () => print(options, deps)));
}

async function print(options: Options, deps: NeedsDeps): Promise<void> {
  const { config, needed } = await readNeeds(options, deps);
  const account = { name: options.name, namespace: options.namespace ?? config.self.namespace ?? defaultName };
  await deps.write(textOf(needed, account, options));
}

function textOf(needed: readonly NeededPermission[], account: Account, options: Options): string {
  const { output, explain = false, serviceAccount = false } = options;
  const roles = rolesOf(needed);
  const manifests = [...(serviceAccount ? [accountOf(account)] : []), ...manifestsOf(roles, account)];
  switch (output) {
    case "yaml":
      return withUnseenShown(yamlOf(manifests, roles, explain));
    case "json":
      return `${jsonText(explain ? needed.map(explained) : { apiVersion: "v1", kind: "List", items: manifests })}\n`;
    case "table":
      return withUnseenShown(explain ? explanationTable(needed) : rolesTable(roles));
  }
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [key: string]: unknown;
}

const rbacGroup = "rbac.authorization.k8s.io";

function accountOf(metadata: Account): Manifest {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata };
}

/** Each role, followed by its binding to the service account. */
export function manifestsOf(roles: readonly Role[], account: Account): readonly Manifest[] {
  return roles.flatMap(({ namespace, rules }) => {
    const kind = namespace === undefined ? "ClusterRole" : "Role";
    const metadata = { name: account.name, ...(namespace === undefined ? {} : { namespace }) };
    const apiVersion = `${rbacGroup}/v1`;
    return [
      { apiVersion, kind, metadata, rules: rules.map(({ permissions: _, ...rule }) => rule) },
      {
        apiVersion,
        kind: `${kind}Binding`,
        metadata,
        roleRef: { apiGroup: rbacGroup, kind, name: account.name },
        subjects: [{ kind: "ServiceAccount", ...account }],
      },
    ];
  });
}

function yamlOf(manifests: readonly Manifest[], roles: readonly Role[], explain: boolean): string {
  const empty = roles.length === 0 ? "# These rules need nothing of Kubernetes.\n" : "";
  const comments = explain ? roles.flatMap(({ rules }) => rules.map(commentOn)) : [];
  const documents = manifests.map((manifest) => flat(commented(new Document(manifest, forKubectl), comments)));
  return empty + documents.map((one) => one.toString({ lineWidth: 0, flowCollectionPadding: false })).join("---\n");
}

/** Takes the comments of the document's rules from the start of the list. */
function commented(document: Document, comments: string[]): Document {
  const rules = document.get("rules");
  for (const rule of isSeq(rules) ? rules.items.filter(isMap) : []) {
    rule.commentBefore = comments.shift();
  }
  return document;
}

/** Lists of plain words on one line, as people write roles. */
function flat(document: Document): Document {
  visit(document, {
    Seq(_, seq) {
      seq.flow = seq.items.every((item) => !isMap(item));
    },
  });
  return document;
}

/** A line for each who needs some of it. */
function commentOn({ permissions }: RoleRule): string {
  const needs = permissions.flatMap((permission) =>
    permission.neededBy.map((need) => ({
      text: printable(needText(need)),
      what: `${permission.verb} ${permission.resource}`,
    })),
  );
  return [...Map.groupBy(needs, ({ text }) => text)]
    .map(([text, members]) => ` ${text}: ${members.map(({ what }) => what).join(", ")}`)
    .join("\n");
}

function explained({ verb, apiGroup, resource, namespace, neededBy }: NeededPermission): object {
  return { verb, api_group: apiGroup, resource, namespace, needed_by: neededBy };
}

function explanationTable(needed: readonly NeededPermission[]): string {
  const rows = needed.flatMap((permission) =>
    permission.neededBy.map((need, index) => [
      index === 0 ? permissionText(permission) : "",
      printable(needText(need)),
    ]),
  );
  return renderTable([["PERMISSION", "NEEDED BY"], ...rows], lineWidth);
}

function rolesTable(roles: readonly Role[]): string {
  const rows = roles.flatMap(({ namespace, rules }) =>
    rules.map(({ apiGroups, resources, verbs }) => [
      namespace ?? "(all)",
      apiGroups.join(", ") || "(core)",
      verbs.join(", "),
      resources.join(", "),
    ]),
  );
  return renderTable([["NAMESPACE", "API GROUP", "VERBS", "RESOURCES"], ...rows], lineWidth);
}

function objectName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) {
    throw new InvalidArgumentError("It must be a Kubernetes name: a-z, 0-9 and -, at most 63.");
  }
  return text;
}
