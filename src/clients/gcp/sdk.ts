// The only module that imports google-auth-library; it is itself imported only when an action first calls Google Cloud.
import {
  AwsClient,
  type AwsClientOptions,
  Compute,
  gcpMetadata,
  IdentityPoolClient,
  type IdentityPoolClientOptions,
  JWT,
} from "google-auth-library";
import type { CredentialsFile, ExternalAccountFile, ServiceAccountFile } from "./credentials-file.ts";
import type { GcpSettings } from "./settings.ts";

const scopes = ["https://www.googleapis.com/auth/cloud-platform"];
/** The engine retries, so the library does not. */
const transporterOptions = { timeout: 10_000, retryConfig: { retry: 0 } };

/** Who Hallux is to Google. Access tokens are kept until shortly before they expire; ID tokens are not. */
export interface Identity {
  /** Id or number; undefined where nothing says. */
  project(): Promise<string | undefined>;
  accessToken(): Promise<string>;
  idToken(audience: string): Promise<string>;
}

export function identityOf(file: CredentialsFile | undefined, settings: GcpSettings): Identity {
  switch (file?.type) {
    case undefined:
      return attachedServiceAccount();
    case "service_account":
      return keyOfServiceAccount(file, settings);
    case "external_account":
      return federatedWorkload(file);
  }
}

/** Of the machine, or by GKE of the pod. */
function attachedServiceAccount(): Identity {
  const client = new Compute({ scopes, transporterOptions });
  let project: Promise<string> | undefined;
  return {
    project() {
      project ??= gcpMetadata.project<string>("project-id");
      return project;
    },
    accessToken: () => accessTokenOf(client),
    idToken: (audience) => client.fetchIdToken(audience),
  };
}

function keyOfServiceAccount(file: ServiceAccountFile, { endpoints }: GcpSettings): Identity {
  const client = new JWT({ email: file.client_email, key: file.private_key, scopes, transporterOptions });
  const token = endpoints?.token;
  if (token !== undefined) {
    // The library knows no other way.
    client.transporter.interceptors.request.add({
      resolved: async (config) => Object.assign(config, { url: new URL(token) }),
    });
  }
  return {
    project: async () => file.project_id,
    accessToken: () => accessTokenOf(client),
    idToken: (audience) => client.fetchIdToken(audience),
  };
}

function federatedWorkload(file: ExternalAccountFile): Identity {
  const { service_account_impersonation_url: impersonationUrl, ...ownFile } = file;
  const client = externalClient(file);
  // It may make ID tokens of the service account; the service account itself rarely may.
  const itself = externalClient(ownFile);
  return {
    project: async () => /\/projects\/([^/]+)/.exec(file.audience)?.[1],
    accessToken: () => accessTokenOf(client),
    async idToken(audience) {
      if (impersonationUrl === undefined) {
        throw new Error("its file lacks service_account_impersonation_url, and only a service account has ID tokens");
      }
      const url = impersonationUrl.replace(/:generateAccessToken$/, ":generateIdToken");
      const data = { audience, includeEmail: true };
      return (await itself.request<{ readonly token: string }>({ url, method: "POST", data })).data.token;
    },
  };
}

function externalClient(file: ExternalAccountFile): AwsClient | IdentityPoolClient {
  const options = { ...file, scopes, transporterOptions };
  return file.credential_source.environment_id === undefined
    ? new IdentityPoolClient(options as IdentityPoolClientOptions)
    : new AwsClient(options as AwsClientOptions);
}

async function accessTokenOf(client: Pick<JWT, "getAccessToken">): Promise<string> {
  const { token } = await client.getAccessToken();
  if (!token) {
    throw new Error("Google answered without a token");
  }
  return token;
}
