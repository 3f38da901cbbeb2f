// Imports the AWS SDK: it is itself imported only when an action first calls a Lambda.
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { WatchingAgent } from "../connecting.ts";
import { credentialsOf } from "./credentials.ts";
import type { LambdaInvocation } from "./port.ts";
import type { AwsSettings } from "./settings.ts";

/** More would wait for one another, each within its own deadline. */
const maxSockets = 64;

export interface LambdaOutput {
  readonly statusCode: number;
  readonly functionError: string | undefined;
  readonly payload: Uint8Array;
}

export interface Lambda {
  /** As the SDK's own chain finds it; rejects where none is configured. */
  region(): Promise<string>;
  /** Resolves when there are some; they are kept until shortly before they expire. */
  credentials(): Promise<void>;
  invoke(invocation: LambdaInvocation, signal: AbortSignal): Promise<LambdaOutput>;
}

/** The engine retries, so the SDK does not. */
export function createLambda(settings: AwsSettings, region: string | undefined): Lambda {
  const client = new LambdaClient({
    maxAttempts: 1,
    credentials: credentialsOf(settings),
    requestHandler: { httpsAgent: new WatchingAgent({ maxSockets }) },
    ...(region === undefined ? {} : { region }),
    ...(settings.endpoints?.lambda === undefined ? {} : { endpoint: settings.endpoints.lambda }),
  });
  return {
    region: () => client.config.region(),
    credentials: async () => void (await client.config.credentials()),
    async invoke({ functionName, qualifier, type, payload }, signal) {
      const command = new InvokeCommand({
        FunctionName: functionName,
        Qualifier: qualifier,
        InvocationType: type,
        Payload: Buffer.from(payload),
      });
      const output = await client.send(command, { abortSignal: signal });
      return {
        statusCode: output.StatusCode ?? 200,
        functionError: output.FunctionError,
        payload: output.Payload ?? new Uint8Array(),
      };
    },
  };
}
