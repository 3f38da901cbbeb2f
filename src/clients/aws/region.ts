import { ActionError } from "../../catalogue/errors.ts";
import type { InstanceMetadata } from "./metadata.ts";

interface Regional {
  /** As the SDK's own chain finds it; rejects where none is configured. */
  region(): Promise<string>;
}

/** Makes a client in the given region. Where neither that nor the SDK knows one, in the instance's own. */
export async function inRegion<C extends Regional>(
  region: string | undefined,
  create: (region: string | undefined) => C,
  instanceMetadata: InstanceMetadata,
): Promise<C> {
  const client = create(region);
  try {
    await client.region();
    return client;
  } catch (cause) {
    const own = await instanceMetadata("meta-data/placement/region", new AbortController().signal);
    if (own === undefined) {
      throw new ActionError("invalid", "no AWS region: set aws.region, or AWS_REGION in the environment", { cause });
    }
    return create(own);
  }
}
