import { ActionError } from "../../catalogue/errors.ts";
import type { ObjectStore } from "../object-store.ts";
import { createS3Store, type Opened } from "../s3/store.ts";
import type { MinioSettings } from "./settings.ts";

/** The SDK is loaded by the first call. */
export function createMinio(settings: MinioSettings): ObjectStore {
  return createS3Store({ open: () => open(settings), regionSetting: "minio.region in the configuration" });
}

async function open({ endpoint, accessKey, secretKey, tls, region }: MinioSettings): Promise<Opened> {
  if (endpoint === undefined || accessKey === undefined || secretKey === undefined) {
    const missing = "set minio.endpoint, minio.access_key and minio.secret_key in the configuration";
    throw new ActionError("invalid", `no MinIO is configured: ${missing}`, { notBegun: true });
  }
  const url = `${tls ? "https" : "http"}://${endpoint}`;
  const { createS3 } = await import("../s3/sdk.ts");
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey.reveal() };
  return { client: createS3({ credentials, region, endpoint: url }), name: `MinIO at ${url}`, region, root: url };
}
