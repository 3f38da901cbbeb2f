import { defineOutput } from "../../src/catalogue/catalogue.ts";
import { choice, text } from "../../src/schema/field.ts";
import { digestInMetadata, objectOf, prefix } from "../objects.ts";

export const gcs = defineOutput({
  id: "gcp:gcs",
  summary: "Store the artifact in a bucket of Google Cloud Storage",
  description: [
    "Needs the permission `storage.objects.create` on the bucket (the role Storage Object Creator); optional is",
    "`storage.objects.update`, for `sha256_in_metadata`. The credentials are those of the configuration's `gcp`. See",
    "[keeping artifacts](../artifacts.md).",
  ].join("\n"),
  uses: ["gcp"],
  rbac: [],
  params: {
    bucket: text("The bucket; it must exist", { required: true, pattern: "^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$" }),
    prefix,
    kms_key: text("Key that encrypts it; by default the bucket's own", {
      pattern: "^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$",
    }),
    storage_class: choice("Storage class; by default the bucket's own", [
      "STANDARD",
      "NEARLINE",
      "COLDLINE",
      "ARCHIVE",
    ]),
    sha256_in_metadata: digestInMetadata,
  },
  examples: [{ title: "A bucket for evidence", parameters: { bucket: "evidence", prefix: "captures/" } }],

  store({ artifact, params, clients, signal }) {
    const { kms_key: key, storage_class: storageClass } = params;
    const encryption = key === undefined ? undefined : { algorithm: undefined, key };
    const object = { ...objectOf(artifact, params), bucket: params.bucket, encryption, storageClass };
    return clients.gcp.putObject({ ...object, region: undefined }, signal);
  },
});
