import { abortedError, untilAborted } from "../../catalogue/abort.ts";
import { type ActionError, notBegun } from "../../catalogue/errors.ts";
import { type Breaker, createBreaker } from "../breaker.ts";
import { dryRunStore } from "../object-store.ts";
import { createS3Store, type Opened } from "../s3/store.ts";
import { lambdaError, verdictOn } from "./errors.ts";
import { createInstanceMetadata, type InstanceMetadata } from "./metadata.ts";
import type { Aws, LambdaInvocation } from "./port.ts";
import { inRegion } from "./region.ts";
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

  async function invoke(invocation: LambdaInvocation, call: Attempt): Promise<LambdaOutput> {
    const { client, breaker } = await endpoint();
    // Another service gives them: that it fails is not Lambda's fault.
    await client.credentials();
    return breaker(
      () => {
        call.begun = true;
        return untilAborted(client.invoke(invocation, call.signal), call.signal, call.what);
      },
      (error) => verdictOn(call.signal.aborted ? abortedError(call.signal, call.what) : error, invocation),
    );
  }

  return {
    ...createS3Store({
      open: (region) => openS3(settings, region, instanceMetadata),
      regionSetting: "region in the output's parameters",
    }),
    instanceMetadata,
    async invokeLambda(invocation, signal) {
      const call = { what: `the call of function ${invocation.functionName}`, signal, begun: false };
      const output = await untilAborted(invoke(invocation, call), signal, call.what).catch((error: unknown) => {
        throw signal.aborted ? endedError(call) : lambdaError(error, invocation.functionName);
      });
      return { ...output, payload: startOf(output.payload) };
    },
  };
}

interface Attempt {
  readonly what: string;
  readonly signal: AbortSignal;
  /** Something of it may have been sent. */
  begun: boolean;
}

function endedError({ what, signal, begun }: Attempt): ActionError {
  const error = abortedError(signal, what);
  return begun ? error : notBegun(error);
}

interface Endpoint {
  readonly client: Lambda;
  readonly breaker: Breaker;
}

/** The same port, for a dry run: Lambda checks the permission and the function, and does not run it; S3 looks for the bucket. */
export function dryRunAws(aws: Aws): Aws {
  return {
    ...dryRunStore(aws),
    instanceMetadata: aws.instanceMetadata,
    invokeLambda: (invocation, signal) => aws.invokeLambda({ ...invocation, type: "DryRun" }, signal),
  };
}

async function openEndpoint(settings: AwsSettings, instanceMetadata: InstanceMetadata): Promise<Endpoint> {
  const { createLambda } = await import("./sdk.ts");
  const client = await inRegion(settings.region, (region) => createLambda(settings, region), instanceMetadata);
  return { client, breaker: createBreaker({ endpoint: `AWS Lambda in ${await client.region()}` }) };
}

async function openS3(
  settings: AwsSettings,
  wanted: string | undefined,
  instanceMetadata: InstanceMetadata,
): Promise<Opened> {
  const [{ createS3 }, { credentialsOf }] = await Promise.all([import("../s3/sdk.ts"), import("./credentials.ts")]);
  const credentials = credentialsOf(settings);
  const endpoint = settings.endpoints?.s3;
  const create = (region: string | undefined) => createS3({ credentials, region, endpoint });
  const client = await inRegion(wanted ?? settings.region, create, instanceMetadata);
  const region = await client.region();
  return { client, name: `S3 in ${region}`, region, root: "s3:/" };
}

function startOf(payload: Uint8Array): string {
  return new TextDecoder().decode(payload.subarray(0, maxAnswerBytes), { stream: true });
}
