import { ActionError } from "../../catalogue/errors.ts";
import type { Api } from "./api.ts";
import { describePermission } from "./permission.ts";
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
      if (typeof status?.allowed !== "boolean") {
        const what = describePermission({ verb, apiGroup: group, resource: qualified, namespace, name });
        throw new ActionError("unavailable", `the API server does not say whether it permits to ${what}`);
      }
      return { allowed: status.allowed, reason: status.reason || status.evaluationError || "no role allows it" };
    },
  };
}
