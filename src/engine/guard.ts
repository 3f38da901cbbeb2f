import type { Sighted } from "../clients/kubernetes/port.ts";
import type { Target } from "../events/target.ts";
import type { Action } from "../rules/rule.ts";

export interface GuardInput {
  readonly action: Action;
  readonly target: Target;
  /** The target as the API server showed it when the response was planned; present for destructive actions. */
  readonly seen: Sighted | undefined;
}

/** Says why an action must not run, or undefined when it may. */
export type Guard = (input: GuardInput) => string | undefined;

/** The first objection, if any. */
export function objection(guards: readonly Guard[], input: GuardInput): string | undefined {
  for (const guard of guards) {
    const reason = guard(input);
    if (reason !== undefined) {
      return reason;
    }
  }
  return undefined;
}

/** Destructive actions stay out of these namespaces, and do not delete them. */
export function protectNamespaces(namespaces: readonly string[]): Guard {
  const known = new Set(namespaces);

  return ({ action, target }) => {
    const namespace = namespaceOf(target);
    return action.actionner.destructive && namespace !== undefined && known.has(namespace)
      ? `namespace ${namespace} is protected (protected_namespaces)`
      : undefined;
  };
}

/** A mirror pod is the API's picture of a static pod: the kubelet owns it, and deleting the picture changes nothing. */
export const refuseMirrorPods: Guard = ({ action, seen }) =>
  action.actionner.destructive && seen?.mirror
    ? "this is a mirror pod: its node's static manifest owns it, the API server cannot change it"
    : undefined;

const defaultRoles: readonly string[] = ["cluster-admin", "admin", "edit", "view"];

/** Whoever can make Falco speak of the control plane's own roles must not have Hallux delete them. */
export const protectSystemRoles: Guard = ({ action, target }) => {
  const role = target.kind === "resource" && /^(cluster)?roles$/.test(target.resource) ? target.name : undefined;
  const systems = role !== undefined && (role.startsWith("system:") || defaultRoles.includes(role));
  return action.actionner.destructive && systems ? `${role} is a role of Kubernetes itself` : undefined;
};

function namespaceOf(target: Target): string | undefined {
  switch (target.kind) {
    case "pod":
      return target.namespace;
    case "resource":
      return target.resource === "namespaces" ? target.name : target.namespace;
    case "none":
      return undefined;
  }
}
