import type { Secret } from "../../schema/secret.ts";

/** What is absent, the SDK finds out itself: environment, shared files, web identity, container and instance roles. */
export interface AwsSettings {
  readonly region?: string | undefined;
  /** Both keys or neither. */
  readonly accessKey?: string | undefined;
  readonly secretKey?: Secret | undefined;
  /** Assumed on top of the keys or of what the SDK finds. */
  readonly roleArn?: string | undefined;
  readonly externalId?: Secret | undefined;
  /** Nothing asks the instance metadata service (`AWS_EC2_METADATA_DISABLED`). */
  readonly metadataDisabled?: boolean | undefined;
  /** For STS and the like to answer; 10 s unless given. */
  readonly credentialsTimeoutMs?: number | undefined;
  /** Other addresses than AWS's own. */
  readonly endpoints?: {
    readonly lambda?: string | undefined;
    readonly s3?: string | undefined;
    readonly sts?: string | undefined;
    readonly metadata?: string | undefined;
  };
}
