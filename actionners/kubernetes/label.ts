import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { textMap } from "../../src/schema/field.ts";
import { changeMetadata, level, levelRules } from "./metadata.ts";

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
    { apiGroups: [""], resources: ["nodes"], verbs: ["patch"] },
  ],
  rbacFor: ({ level }) => levelRules[level],
  destructive: false,
  idempotent: true,
  continues: true,
  output: "none",
  undo: "`kubectl label pod POD -n NAMESPACE KEY-`, or `kubectl label node NODE KEY-`, removes a label. The value that it had before is not kept.",
  examples: [
    { title: "Mark the pod as suspicious", parameters: { labels: { suspicious: "true" } } },
    {
      title: "Mark the pod's node, and remove another mark",
      parameters: { labels: { suspicious: "true", trusted: "" }, level: "node" },
    },
  ],

  run({ target, params, clients: { kubernetes }, signal }) {
    return changeMetadata({ target, level: params.level, key: "labels", values: params.labels, kubernetes, signal });
  },
});
