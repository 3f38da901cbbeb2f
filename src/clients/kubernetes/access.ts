import type { Api } from "./api.ts";
import type { Kubernetes } from "./port.ts";

export function accessCalls({ authorization, via }: Api): Pick<Kubernetes, "reviewAccess"> {
  return {
    async reviewAccess({ verb, apiGroup: group, resource: qualified, namespace, name }, signal) {
      const [resource, subresource] = qualified.split("/", 2);
      const resourceAttributes = { verb, group, resource, subresource, namespace, name };
      const { status } = await authorization.createSelfSubjectAccessReview(
        { body: { spec: { resourceAttributes } } },
        via(signal),
      );
      return {
        allowed: status?.allowed === true,
        reason: status?.reason || status?.evaluationError || "no role allows it",
      };
    },
  };
}
