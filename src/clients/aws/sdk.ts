// The only module that imports the AWS SDK; it is itself imported only when an action first calls AWS.
import { InvokeCommand, LambdaClient, type LambdaClientConfig } from "@aws-sdk/client-lambda";
import { fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import type { ActionError } from "../../catalogue/errors.ts";
import { WatchingAgent } from "../connecting.ts";
import { credentialsError, roleError } from "./errors.ts";
import type { LambdaInvocation } from "./port.ts";
import type { AwsSettings } from "./settings.ts";

const defaultCredentialsTimeoutMs = 10_000;
/** More would wait for one another, each within its own deadline. */
const maxSockets = 64;

type Credentials = NonNullable<LambdaClientConfig["credentials"]>;
type Provider = ReturnType<typeof fromTemporaryCredentials>;

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

function credentialsOf(settings: AwsSettings): Credentials {
  const own = ownCredentials(settings);
  return settings.roleArn === undefined ? own : assumedRole(settings, settings.roleArn, own);
}

function ownCredentials({ accessKey, secretKey, credentialsTimeoutMs }: AwsSettings): Credentials {
  return accessKey === undefined || secretKey === undefined
    ? telling(fromNodeProviderChain({ clientConfig: patient(credentialsTimeoutMs) }), credentialsError)
    : { accessKeyId: accessKey, secretAccessKey: secretKey.reveal() };
}

function assumedRole(settings: AwsSettings, roleArn: string, own: Credentials): Credentials {
  const externalId = settings.externalId?.reveal();
  const assume = fromTemporaryCredentials({
    masterCredentials: own,
    params: {
      RoleArn: roleArn,
      RoleSessionName: "hallux",
      ...(externalId === undefined ? {} : { ExternalId: externalId }),
    },
    clientConfig: {
      ...patient(settings.credentialsTimeoutMs),
      ...(settings.region === undefined ? {} : { region: settings.region }),
      ...(settings.endpoints?.sts === undefined ? {} : { endpoint: settings.endpoints.sts }),
    },
  });
  return telling(assume, (error) => roleError(error, roleArn));
}

/** All calls wait for the same answer: one that never came would stop them for ever. */
function patient(requestTimeout = defaultCredentialsTimeoutMs) {
  return { maxAttempts: 1, requestHandler: { requestTimeout, throwOnRequestTimeout: true } };
}

/** Getting credentials fails inside the call that needs them: without this it would read as if that call had failed. */
function telling(provider: Provider, told: (error: unknown) => ActionError): Provider {
  return (properties) =>
    provider(properties).catch((error: unknown) => {
      throw told(error);
    });
}
