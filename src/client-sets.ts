import { createAws, dryRunAws } from "./clients/aws/adapter.ts";
import type { ClientSets } from "./clients/clients.ts";
import { createGcp } from "./clients/gcp/adapter.ts";
import { createHttp } from "./clients/http/adapter.ts";
import type { KubernetesClients } from "./clients/kubernetes/adapter.ts";
import { createMailers } from "./clients/mail/adapter.ts";
import { createMinio } from "./clients/minio/adapter.ts";
import { dryRunStore } from "./clients/object-store.ts";
import { isSame } from "./schema/same.ts";
import type { Settings } from "./settings/load.ts";

export interface ClientSetsOptions {
  readonly kubernetes: KubernetesClients;
  /** Nothing asks the AWS instance metadata service. */
  readonly metadataDisabled: boolean;
  /** Google's, where the configuration gives none (`GOOGLE_APPLICATION_CREDENTIALS`). */
  readonly googleCredentials: string | undefined;
}

/** Gives the clients for settings. Those whose own settings are as they were before stay, with their connections. */
export function createClientSets(options: ClientSetsOptions): (settings: Settings) => ClientSets {
  const { kubernetes, metadataDisabled, googleCredentials } = options;
  const http = createHttp();
  const mail = createMailers();
  const awsOf = whereOther(({ config: { aws } }: Settings) => ({ ...awsSettings(aws), metadataDisabled }), createAws);
  const minioOf = whereOther(({ config: { minio } }: Settings) => minioSettings(minio), createMinio);
  const gcpOf = whereOther(
    ({ config, googleKey }: Settings) => ({ path: config.gcp.credentials_path ?? googleCredentials, googleKey }),
    ({ path }) => createGcp({ credentialsPath: path }, http.real),
  );
  let sets: ClientSets | undefined;

  return (settings) => {
    const [aws, gcp, minio] = [awsOf(settings), gcpOf(settings), minioOf(settings)];
    if (sets?.real.aws !== aws || sets.real.gcp !== gcp.real || sets.real.minio !== minio) {
      sets = {
        real: { kubernetes: kubernetes.real, aws, gcp: gcp.real, minio, http: http.real, mail: mail.real },
        dryRun: {
          kubernetes: kubernetes.dryRun,
          aws: dryRunAws(aws),
          gcp: gcp.dryRun,
          minio: dryRunStore(minio),
          http: http.dryRun,
          mail: mail.dryRun,
        },
      };
    }
    return sets;
  };
}

/** Makes another one only where what it is made of is not the same. */
function whereOther<S, P, T>(partOf: (settings: S) => P, make: (part: P) => T): (settings: S) => T {
  let last: { readonly part: P; readonly made: T } | undefined;
  return (settings) => {
    const part = partOf(settings);
    if (last === undefined || !isSame(last.part, part)) {
      last = { part, made: make(part) };
    }
    return last.made;
  };
}

function awsSettings(aws: Settings["config"]["aws"]) {
  const { region, access_key: accessKey, secret_key: secretKey, role_arn: roleArn, external_id: externalId } = aws;
  return { region, accessKey, secretKey, roleArn, externalId };
}

function minioSettings({ endpoint, access_key, secret_key, use_ssl, region }: Settings["config"]["minio"]) {
  return { endpoint, accessKey: access_key, secretKey: secret_key, tls: use_ssl, region };
}
