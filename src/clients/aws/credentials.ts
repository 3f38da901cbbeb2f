// Imports the AWS SDK: to be imported only together with a client of it.
import { fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import type { ActionError } from "../../catalogue/errors.ts";
import { credentialsError, roleError } from "./errors.ts";
import type { AwsSettings } from "./settings.ts";

const defaultCredentialsTimeoutMs = 10_000;

type Provider = ReturnType<typeof fromTemporaryCredentials>;
/** As the clients of the SDK take them. */
export type Credentials = Provider | { readonly accessKeyId: string; readonly secretAccessKey: string };

/** The keys of the settings or what the SDK finds itself, and the role on top. */
export function credentialsOf(settings: AwsSettings): Credentials {
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
