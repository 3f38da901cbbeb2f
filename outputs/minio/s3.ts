import { defineOutput } from "../../src/catalogue/catalogue.ts";
import { choice, text } from "../../src/schema/field.ts";
import { bucket, digestInMetadata, objectOf, prefix } from "../objects.ts";

export const s3 = defineOutput({
  id: "minio:s3",
  summary: "Store the artifact in a bucket of MinIO, or of another server that speaks S3",
  description: [
    "Needs `minio.endpoint`, `minio.access_key` and `minio.secret_key` in the configuration, and of the server the permissions",
    "`s3:PutObject` and `s3:AbortMultipartUpload` on the bucket's objects; optional is `s3:GetObject`, for `sha256_in_metadata`. See",
    "[keeping artifacts](../artifacts.md).",
  ].join("\n"),
  uses: ["minio"],
  rbac: [],
  params: {
    bucket,
    prefix,
    sse: choice("Encryption on the server; by default the bucket's own", ["AES256", "aws:kms"]),
    kms_key_id: text("Key for `aws:kms`; by default the server's", { minLength: 1 }),
    storage_class: choice("Storage class; by default `STANDARD`", ["STANDARD", "REDUCED_REDUNDANCY"]),
    sha256_in_metadata: digestInMetadata,
  },
  check: ({ sse, kms_key_id: key }) =>
    key !== undefined && sse !== "aws:kms" ? "kms_key_id needs sse: aws:kms" : undefined,
  examples: [{ title: "A bucket for evidence", parameters: { bucket: "evidence", prefix: "captures/" } }],

  store({ artifact, params, clients, signal }) {
    const { sse, kms_key_id: key, storage_class: storageClass } = params;
    const encryption = sse === undefined ? undefined : { algorithm: sse, key };
    const object = { ...objectOf(artifact, params), bucket: params.bucket, encryption, storageClass };
    return clients.minio.putObject({ ...object, region: undefined }, signal);
  },
});
