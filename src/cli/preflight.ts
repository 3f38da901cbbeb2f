import { type Command, Option } from "commander";
import { type NeededPermission, needText, permissionText } from "../catalogue/permissions.ts";
import { type MissingPermission, missingPermissions } from "../catalogue/preflight.ts";
import { createKubernetes } from "../clients/kubernetes/adapter.ts";
import type { KubeconfigSource } from "../clients/kubernetes/connection.ts";
import type { Config } from "../config/schema.ts";
import { printable } from "../telemetry/logs.ts";
import { jsonText } from "./encode.ts";
import { CommandFailure, telling } from "./failure.ts";
import { type NeedsDeps, type NeedsOptions, needsCommand, readNeeds } from "./needs.ts";

export interface PreflightDeps extends NeedsDeps {
  readonly kubeconfigSource: (config: Config) => KubeconfigSource;
}

interface Options extends NeedsOptions {
  readonly output: "text" | "json";
}

const timeoutMs = 30_000;

/** `hallux preflight`. */
export function preflightCommand(deps: PreflightDeps): Command {
  return needsCommand("preflight", "ask the API server which permissions of the rules are missing, exit 1 if any is")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["text", "json"]).default("text"))
    .action((options: Options) => telling(deps, () => check(options, deps)));
}

async function check(options: Options, deps: PreflightDeps): Promise<void> {
  const { config, needed } = await readNeeds(options, deps);
  const missing = await ask(needed, deps.kubeconfigSource(config));
  await deps.write(options.output === "json" ? `${jsonText(reportOf(needed, missing))}\n` : textOf(needed, missing));
  if (missing.length > 0) {
    deps.setExitCode(1);
  }
}

async function ask(
  needed: readonly NeededPermission[],
  kubeconfig: KubeconfigSource,
): Promise<readonly MissingPermission[]> {
  const kubernetes = createKubernetes({ kubeconfig });
  try {
    return await missingPermissions(needed, kubernetes.real, AbortSignal.timeout(timeoutMs));
  } catch (error) {
    // Not always an ActionError: the client throws its own at an answer that is no JSON.
    const words = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(`the permissions cannot be checked: ${printable(words.trim())}`, { cause: error });
  } finally {
    await kubernetes.close();
  }
}

function reportOf(needed: readonly NeededPermission[], missing: readonly MissingPermission[]): object {
  return {
    checked: needed.length,
    missing: missing.map(({ verb, apiGroup, resource, namespace, neededBy, reason }) => ({
      verb,
      api_group: apiGroup,
      resource,
      namespace,
      reason,
      needed_by: neededBy,
    })),
  };
}

function textOf(needed: readonly NeededPermission[], missing: readonly MissingPermission[]): string {
  if (needed.length === 0) {
    return "these rules need nothing of Kubernetes\n";
  }
  if (missing.length === 0) {
    return `${needed.length} of ${needed.length} permissions are there\n`;
  }
  const lines = missing.flatMap((one) => [
    `missing: ${permissionText(one)}`,
    ...one.neededBy.map((need) => `  for ${printable(needText(need))}`),
  ]);
  const sum = `${missing.length} of ${needed.length} permissions are missing; "hallux rbac" prints the roles that give them`;
  return `${[...lines, sum].join("\n")}\n`;
}
