import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { textMap } from "../../src/schema/field.ts";
import { changeMetadata, level, levelRules } from "./metadata.ts";

export const annotation = defineActionner({
  id: "kubernetes:annotation",
  summary: "Add, change or remove annotations of the pod or of its node",
  target: "pod",
  params: {
    annotations: textMap("Annotations to set; an empty value removes the annotation", {
      required: true,
      minProperties: 1,
      keys: { format: "annotation-key" },
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
  undo: "`kubectl annotate pod POD -n NAMESPACE KEY-`, or `kubectl annotate node NODE KEY-`, removes an annotation. The value that it had before is not kept.",
  examples: [
    {
      title: "Leave a note for whoever looks at the pod",
      parameters: { annotations: { "example.com/note": "Falco saw a shell in this pod" } },
    },
    {
      title: "Remove an annotation from the pod's node",
      parameters: { annotations: { "example.com/note": "" }, level: "node" },
    },
  ],

  run({ target, params, clients: { kubernetes }, signal }) {
    const { level, annotations: values } = params;
    return changeMetadata({ target, level, key: "annotations", values, kubernetes, signal });
  },
});
