import { defineActionner } from "../../src/catalogue/catalogue.ts";
import type { MetadataChange, Pod } from "../../src/clients/kubernetes/port.ts";
import { textMap } from "../../src/schema/field.ts";
import { type Changed, changeMetadata, level, patchOf, rulesByLevel, type Values } from "./metadata.ts";

const levelRules = rulesByLevel(["get", "patch"]);

export const label = defineActionner({
  id: "kubernetes:label",
  summary: "Add, change or remove labels of the pod or of its node",
  target: "pod",
  params: {
    labels: textMap("Labels to set; an empty value removes the label", {
      required: true,
      minProperties: 1,
      keys: { format: "label-key" },
      values: { format: "label-value" },
    }),
    level,
  },
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] },
    { apiGroups: [""], resources: ["nodes"], verbs: ["get", "patch"] },
  ],
  rbacFor: ({ level }) => levelRules[level],
  destructive: false,
  idempotent: true,
  continues: true,
  output: "none",
  undo: "`kubectl label pod POD -n NAMESPACE KEY-` removes a new label, `kubectl label pod POD -n NAMESPACE --overwrite KEY=VALUE` puts the former value back; for a node they begin with `kubectl label node NODE`. Nothing is told of a label that was so already: an earlier response has set it and says how to undo it, or a user has, or an attempt of this action whose answer was lost.",
  examples: [
    { title: "Mark the pod as suspicious", parameters: { labels: { suspicious: "true" } } },
    {
      title: "Mark the pod's node, and remove another mark",
      parameters: { labels: { suspicious: "true", trusted: "" }, level: "node" },
    },
  ],

  run({ target, params: { labels, level }, clients: { kubernetes }, attempt, signal }) {
    const isSo =
      attempt === 1 ? "is labelled so already" : "is labelled so, perhaps by an attempt whose answer was lost";
    return changeMetadata({
      target,
      level,
      kubernetes,
      signal,
      command: "label",
      changePod: () =>
        changeLabels(labels, isSo, {
          add: () => kubernetes.addLabelsToPod(target, labels, signal),
          read: () => kubernetes.getPod(target, signal),
          patch: (change) => kubernetes.patchPod(target, change, signal),
        }),
      changeNode: (name) =>
        changeLabels(labels, isSo, {
          add: () => kubernetes.addLabelsToNode(name, labels, signal),
          read: () => kubernetes.getNode(name, signal),
          patch: (change) => kubernetes.patchNode(name, change, signal),
        }),
    });
  },
});

interface Calls<T> {
  /** Undefined where one of them is there already, or the object has no labels at all. */
  readonly add: () => Promise<T | undefined>;
  readonly read: () => Promise<T>;
  readonly patch: (change: MetadataChange) => Promise<T>;
}

/**
 * In one request where all of them are new. What is overwritten or removed is read first, to be told in the undo. That nothing
 * differs is a success: it may have been this action's own, earlier attempt.
 */
async function changeLabels<T extends Pick<Pod, "resourceVersion" | "labels">>(
  values: Values,
  isSo: string,
  { add, read, patch }: Calls<T>,
): Promise<Changed<T>> {
  const verb = "labelled";
  const keys = Object.keys(values);
  const added = keys.every((key) => values[key] !== "") ? await add() : undefined;
  if (added !== undefined) {
    return { object: added, verb, undo: keys.map((key) => `${key}-`) };
  }
  const found = await read();
  const former = new Map(Object.entries(found.labels));
  const differing = keys.filter((key) => former.get(key) !== (values[key] || undefined));
  if (differing.length === 0) {
    return { object: found, verb: isSo, undo: [] };
  }
  const object = await patch({ labels: patchOf(values), resourceVersion: found.resourceVersion });
  const undo = differing.map((key) => (former.has(key) ? `${key}=${former.get(key)}` : `${key}-`));
  return { object, verb, undo };
}
