import type { Secret } from "../../schema/secret.ts";

export interface MinioSettings {
  /** Host and port; undefined where no MinIO is configured. */
  readonly endpoint: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: Secret | undefined;
  readonly tls: boolean;
  readonly region: string;
}
