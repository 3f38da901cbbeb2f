import { defineNotifier, type Notification } from "../src/catalogue/catalogue.ts";
import { ActionError } from "../src/catalogue/errors.ts";
import type { OutcomeStatus } from "../src/catalogue/outcome.ts";
import type { Kubernetes, KubernetesEvent } from "../src/clients/kubernetes/port.ts";
import { type PodTarget, podOf, type ResourceTarget, type Target } from "../src/events/target.ts";
import { longText } from "../src/schema/field.ts";
import { clip, idOf, messageOf } from "./message.ts";
import { render, templateFaults } from "./template.ts";

/** What an event is about, and the namespace it must stand in. */
type Place = Pick<KubernetesEvent, "namespace" | "about">;

/** Of the API server. */
const maxMessageBytes = 1024;

/** Where events stand that are about no object of a namespace. */
const commonNamespace = "default";

export const k8sevents = defineNotifier({
  id: "k8sevents",
  summary: "Record each outcome as a Kubernetes event of its target, as kubectl describe shows it",
  description: [
    "An action without a target is recorded with the pod that the Falco event names, and where it names none, with the namespace `default`.",
    "Each outcome is an event of its own, with its own words; one that is told again (after a lost answer, a restart) stands there once.",
  ].join("\n"),
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["events"], verbs: ["create"] },
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
  ],
  settings: {
    template: longText("Liquid template of the message, which is one line of at most 1 KiB"),
  },

  check: ({ template }) => templateFaults({ template: { template, medium: "line" } }),

  async notify({ notification, settings, clients, signal }) {
    const { outcome, action } = notification;
    const place = await placeOf(subjectOf(notification), clients.kubernetes, signal);

    await clients.kubernetes.createEvent(
      {
        id: idOf(notification),
        ...place,
        type: warnings.has(outcome.status) ? "Warning" : "Normal",
        reason: `Hallux${camelCase(action.actionner.replace(/^.*:/, ""))}${endings[outcome.status]}`,
        action: camelCase(action.actionner),
        message: wordsOf(notification, settings.template),
      },
      signal,
    );
  },
});

const endings: Readonly<Record<OutcomeStatus, string>> = {
  success: "Succeeded",
  ignored: "Ignored",
  failure: "Failed",
  refused: "Refused",
  dry_run: "DryRun",
  expired: "Expired",
};

const warnings: ReadonlySet<OutcomeStatus> = new Set(["failure", "refused", "expired"]);

function wordsOf(notification: Notification, template: string | undefined): string {
  const { text, note } = render(template, "line", notification);
  const { line } = messageOf(notification);
  return clip(text ?? [line, note].filter((part) => part !== undefined).join("; "), maxMessageBytes);
}

function subjectOf({ outcome, event }: Notification): Target {
  if (outcome.target !== undefined && outcome.target.kind !== "none") {
    return outcome.target;
  }
  const pod = podOf(event);
  return pod.kind === "missing" ? { kind: "none" } : pod;
}

function placeOf(subject: Target, kubernetes: Kubernetes, signal: AbortSignal): Promise<Place> | Place {
  switch (subject.kind) {
    case "pod":
      return podPlace(subject, kubernetes, signal);
    case "resource":
      return resourcePlace(subject);
    case "none":
      return { namespace: commonNamespace, about: { apiVersion: "v1", kind: "Namespace", name: commonNamespace } };
  }
}

/** kubectl describe finds the events of a pod by its UID. */
async function podPlace(target: PodTarget, kubernetes: Kubernetes, signal: AbortSignal): Promise<Place> {
  const { namespace, name } = target;
  const uid = target.uid ?? (await uidOf(target, kubernetes, signal));
  const about = { apiVersion: "v1", kind: "Pod", namespace, name };
  return { namespace, about: uid === undefined ? about : { ...about, uid } };
}

/** Undefined where the pod is gone or may not be read: its event is worth having all the same. */
async function uidOf(target: PodTarget, kubernetes: Kubernetes, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await kubernetes.getPod(target, signal)).uid;
  } catch (error) {
    if (error instanceof ActionError && !signal.aborted) {
      return undefined;
    }
    throw error;
  }
}

/** Whose events stand in the common namespace, though an audit event may name one: a namespace's names itself. */
const clusterWide: ReadonlySet<string> = new Set(["clusterroles", "namespaces"]);

const kinds = new Map<string, { readonly apiVersion: string; readonly kind: string }>([
  ["clusterroles", { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole" }],
  ["configmaps", { apiVersion: "v1", kind: "ConfigMap" }],
  ["daemonsets", { apiVersion: "apps/v1", kind: "DaemonSet" }],
  ["deployments", { apiVersion: "apps/v1", kind: "Deployment" }],
  ["namespaces", { apiVersion: "v1", kind: "Namespace" }],
  ["pods", { apiVersion: "v1", kind: "Pod" }],
  ["replicasets", { apiVersion: "apps/v1", kind: "ReplicaSet" }],
  ["roles", { apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role" }],
  ["secrets", { apiVersion: "v1", kind: "Secret" }],
  ["serviceaccounts", { apiVersion: "v1", kind: "ServiceAccount" }],
  ["services", { apiVersion: "v1", kind: "Service" }],
  ["statefulsets", { apiVersion: "apps/v1", kind: "StatefulSet" }],
]);

function resourcePlace({ resource, namespace, name }: ResourceTarget): Place {
  const { apiVersion, kind } = kinds.get(resource) ?? { apiVersion: "v1", kind: camelCase(resource) };
  return namespace === undefined || clusterWide.has(resource)
    ? { namespace: commonNamespace, about: { apiVersion, kind, name } }
    : { namespace, about: { apiVersion, kind, namespace, name } };
}

/** `kubernetes:network-policy` → `KubernetesNetworkPolicy` */
function camelCase(id: string): string {
  return id.replaceAll(/(?:^|[^a-zA-Z0-9]+)([a-zA-Z0-9]?)/g, (_, letter: string) => letter.toUpperCase());
}
