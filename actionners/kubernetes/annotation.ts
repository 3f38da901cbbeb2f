import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { textMap } from "../../src/schema/field.ts";
import { changeMetadata, level, patchOf, rulesByLevel } from "./metadata.ts";

const levelRules = rulesByLevel(["patch"]);

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
  undo: "`kubectl annotate pod POD -n NAMESPACE KEY-`, or `kubectl annotate node NODE KEY-`, removes an annotation. The value that it had before is not told: it may be long, or a secret.",
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

  run({ target, params: { annotations, level }, clients: { kubernetes }, signal }) {
    const change = { annotations: patchOf(annotations) };
    const added = Object.keys(annotations).filter((key) => annotations[key] !== "");
    const done = { verb: "annotated", undo: added.map((key) => `${key}-`) };
    return changeMetadata({
      target,
      level,
      kubernetes,
      signal,
      command: "annotate",
      changePod: async () => ({ object: await kubernetes.patchPod(target, change, signal), ...done }),
      changeNode: async (name) => ({ object: await kubernetes.patchNode(name, change, signal), ...done }),
    });
  },
});
