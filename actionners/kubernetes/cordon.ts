import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ignored, success } from "../../src/catalogue/outcome.ts";
import { kubectl } from "./kubectl.ts";
import { podTarget } from "./pod-target.ts";

export const cordon = defineActionner({
  id: "kubernetes:cordon",
  summary: "Keep new pods off the node on which the pod runs",
  target: "pod",
  params: {},
  uses: ["kubernetes"],
  rbac: [
    { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
    { apiGroups: [""], resources: ["nodes"], verbs: ["get", "patch"] },
  ],
  destructive: false,
  idempotent: true,
  continues: true,
  output: "none",
  undo: "`kubectl uncordon NODE`",
  examples: [{ title: "Cordon the pod's node", parameters: {} }],

  async run({ target, clients: { kubernetes }, signal }) {
    const pod = await kubernetes.getPod(target, signal);
    if (pod.nodeName === undefined) {
      return ignored("the pod is not on a node yet");
    }
    const node = await kubernetes.getNode(pod.nodeName, signal);
    if (node.unschedulable) {
      return ignored(`node ${node.name} is already cordoned`);
    }

    await kubernetes.patchNode(node.name, { unschedulable: true }, signal);
    return success("node cordoned", {
      objects: { namespace: pod.namespace, pod: pod.name, node: node.name },
      target: podTarget(pod),
      undo: kubectl("uncordon", node.name),
    });
  },
});
