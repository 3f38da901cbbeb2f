import { defineOutput } from "../../src/catalogue/catalogue.ts";
import { choice, text } from "../../src/schema/field.ts";
import { bucket, digestInMetadata, objectOf, prefix } from "../objects.ts";

const storageClasses = [
  "STANDARD",
  "STANDARD_IA",
  "ONEZONE_IA",
  "INTELLIGENT_TIERING",
  "GLACIER_IR",
  "GLACIER",
  "DEEP_ARCHIVE",
  "REDUCED_REDUNDANCY",
] as const;

export const s3 = defineOutput({
  id: "aws:s3",
  summary: "Store the artifact in a bucket of AWS S3",
  description: [
    "Needs the permissions `s3:PutObject` and `s3:AbortMultipartUpload` on the bucket's objects; optional is `s3:GetObject`, for",
    "`sha256_in_metadata`. The credentials are those of the configuration's `aws`, or what the AWS SDK finds. See",
    "[keeping artifacts](../artifacts.md).",
  ].join("\n"),
  uses: ["aws"],
  rbac: [],
  params: {
    bucket,
    prefix,
    region: text("Region of the bucket; by default `aws.region` of the configuration, or what the AWS SDK finds", {
      pattern: "^[a-z0-9-]+$",
    }),
    sse: choice("Encryption on the server; by default the bucket's own", ["AES256", "aws:kms", "aws:kms:dsse"]),
    kms_key_id: text("Key for `aws:kms`; by default the account's `aws/s3`", { minLength: 1 }),
    storage_class: choice("Storage class; by default the bucket's own", storageClasses),
    sha256_in_metadata: digestInMetadata,
  },
  check: ({ sse, kms_key_id: key }) =>
    key !== undefined && !sse?.startsWith("aws:kms") ? "kms_key_id needs sse: aws:kms" : undefined,
  examples: [
    { title: "A bucket of the default region", parameters: { bucket: "evidence", prefix: "captures/" } },
    {
      title: "Encrypted with a key of one's own",
      parameters: {
        bucket: "evidence",
        region: "eu-west-1",
        sse: "aws:kms",
        kms_key_id: "alias/evidence",
        storage_class: "STANDARD_IA",
      },
    },
  ],

  store({ artifact, params, clients, signal }) {
    const { region, sse, kms_key_id: key, storage_class: storageClass } = params;
    const encryption = sse === undefined ? undefined : { algorithm: sse, key };
    const object = { ...objectOf(artifact, params), bucket: params.bucket, region, encryption, storageClass };
    return clients.aws.putObject(object, signal);
  },
});
