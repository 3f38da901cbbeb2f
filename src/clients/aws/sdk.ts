// The only module that imports the AWS SDK; it is itself imported only when an action first calls AWS.
import { InvokeCommand, LambdaClient, type LambdaClientConfig } from "@aws-sdk/client-lambda";
import { fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import type { ActionError } from "../../catalogue/errors.ts";
import { credentialsError, roleError } from "./errors.ts";
import type { LambdaInvocation } from "./port.ts";
import type { AwsSettings } from "./settings.ts";

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
  invoke(invocation: LambdaInvocation, signal: AbortSignal): Promise<LambdaOutput>;
}

/** The engine retries, so the SDK does not. */
export function createLambda(settings: AwsSettings, region: string | undefined): Lambda {
  const client = new LambdaClient({
    maxAttempts: 1,
    credentials: credentialsOf(settings),
    ...(region === undefined ? {} : { region }),
    ...(settings.endpoints?.lambda === undefined ? {} : { endpoint: settings.endpoints.lambda }),
  });
  return {
    region: () => client.config.region(),
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

function ownCredentials({ accessKey, secretKey }: AwsSettings): Credentials {
  return accessKey === undefined || secretKey === undefined
    ? telling(fromNodeProviderChain(), credentialsError)
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
      maxAttempts: 1,
      ...(settings.region === undefined ? {} : { region: settings.region }),
      ...(settings.endpoints?.sts === undefined ? {} : { endpoint: settings.endpoints.sts }),
    },
  });
  return telling(assume, (error) => roleError(error, roleArn));
}

/** Getting credentials fails inside the call that needs them: without this it would read as if that call had failed. */
function telling(provider: Provider, told: (error: unknown) => ActionError): Provider {
  return (properties) =>
    provider(properties).catch((error: unknown) => {
      throw told(error);
    });
}
