import { defineContext, type Facts } from "../src/catalogue/catalogue.ts";

interface IamInfo {
  readonly InstanceProfileArn?: unknown;
  readonly InstanceProfileId?: unknown;
}

export const aws = defineContext({
  id: "aws",
  summary: "Add the instance profile and the region of the machine that Hallux runs on",
  description: [
    "From the instance metadata service (IMDSv2). Outside AWS the facts are absent, and the action runs all the same. So they are where the",
    "service's answers do not reach a pod: the instance needs a hop limit of 2 (`HttpPutResponseHopLimit`), or Hallux the host's network.",
  ].join("\n"),
  target: "none",
  uses: ["aws"],
  rbac: [],
  elements: ["aws.instance_profile_arn", "aws.instance_profile_id", "aws.region"],

  async fetch({ clients, signal }) {
    const [region, info] = await Promise.all([
      clients.aws.instanceMetadata("meta-data/placement/region", signal),
      clients.aws.instanceMetadata("meta-data/iam/info", signal),
    ]);
    const profile: IamInfo = info === undefined ? {} : JSON.parse(info);
    return known({
      "aws.instance_profile_arn": profile.InstanceProfileArn,
      "aws.instance_profile_id": profile.InstanceProfileId,
      "aws.region": region,
    });
  },
});

function known(elements: Readonly<Record<string, unknown>>): Facts {
  return Object.fromEntries(
    Object.entries(elements).filter((element): element is [string, string] => typeof element[1] === "string"),
  );
}
