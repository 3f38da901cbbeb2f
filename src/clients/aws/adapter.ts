import { abortedError, untilAborted } from "../../catalogue/abort.ts";
import { ActionError } from "../../catalogue/errors.ts";
import { type Breaker, createBreaker } from "../breaker.ts";
import { lambdaError, verdictOn } from "./errors.ts";
import { createInstanceMetadata, type InstanceMetadata } from "./metadata.ts";
import type { Aws, LambdaInvocation } from "./port.ts";
import type { Lambda, LambdaOutput } from "./sdk.ts";
import type { AwsSettings } from "./settings.ts";

const maxAnswerBytes = 16 * 1024;

/** The SDK is loaded, and the clients are made, by the first call. */
export function createAws(settings: AwsSettings): Aws {
  const instanceMetadata: InstanceMetadata = settings.metadataDisabled
    ? async () => undefined
    : createInstanceMetadata({ endpoint: settings.endpoints?.metadata });
  let lambda: Promise<Endpoint> | undefined;

  function endpoint(): Promise<Endpoint> {
    lambda ??= openEndpoint(settings, instanceMetadata).catch((error: unknown) => {
      lambda = undefined;
      throw error;
    });
    return lambda;
  }

  async function invoke(invocation: LambdaInvocation, signal: AbortSignal, what: string): Promise<LambdaOutput> {
    const { client, breaker } = await endpoint();
    // Another service gives them: that it fails is not Lambda's fault.
    await client.credentials();
    return breaker(
      () => untilAborted(client.invoke(invocation, signal), signal, what),
      (error) => verdictOn(signal.aborted ? abortedError(signal, what) : error, invocation),
    );
  }

  return {
    instanceMetadata,
    async invokeLambda(invocation, signal) {
      const what = `the call of function ${invocation.functionName}`;
      const output = await untilAborted(invoke(invocation, signal, what), signal, what).catch((error: unknown) => {
        throw signal.aborted ? abortedError(signal, what) : lambdaError(error, invocation.functionName);
      });
      return { ...output, payload: startOf(output.payload) };
    },
  };
}

interface Endpoint {
  readonly client: Lambda;
  readonly breaker: Breaker;
}

/** The same port, for a dry run: Lambda checks the permission and the function, and does not run it. */
export function dryRunAws(aws: Aws): Aws {
  return {
    instanceMetadata: aws.instanceMetadata,
    invokeLambda: (invocation, signal) => aws.invokeLambda({ ...invocation, type: "DryRun" }, signal),
  };
}

async function openEndpoint(settings: AwsSettings, instanceMetadata: InstanceMetadata): Promise<Endpoint> {
  const client = await openLambda(settings, instanceMetadata);
  return { client, breaker: createBreaker({ endpoint: `AWS Lambda in ${await client.region()}` }) };
}

/** Where the SDK finds no region, the instance's own. */
async function openLambda(settings: AwsSettings, instanceMetadata: InstanceMetadata): Promise<Lambda> {
  const { createLambda } = await import("./sdk.ts");
  const lambda = createLambda(settings, settings.region);
  try {
    await lambda.region();
    return lambda;
  } catch (cause) {
    const region = await instanceMetadata("meta-data/placement/region", new AbortController().signal);
    if (region === undefined) {
      throw new ActionError("invalid", "no AWS region: set aws.region, or AWS_REGION in the environment", { cause });
    }
    return createLambda(settings, region);
  }
}

function startOf(payload: Uint8Array): string {
  return new TextDecoder().decode(payload.subarray(0, maxAnswerBytes), { stream: true });
}
