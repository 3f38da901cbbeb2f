import type { Artifact } from "../src/catalogue/catalogue.ts";
import type { NewObject } from "../src/clients/object-store.ts";
import { flag, text } from "../src/schema/field.ts";

export const prefix = text("What stands before the object's name, as a path", { default: "", format: "prefix" });

/** As S3 and what speaks like it wants them. */
export const bucket = text("The bucket; it must exist", {
  required: true,
  pattern: "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
});

export const digestInMetadata = flag(
  "Whether the SHA-256 of an object of more than 8 MiB stands in its metadata, too, where the bucket allows it; beside it it lies in any case",
  { default: true },
);

interface Given {
  readonly prefix: string;
  readonly sha256_in_metadata: boolean;
}

/** `/captures/` → `captures/2026-11-21T08-15-00Z_shop_cart-1_log` */
export function objectOf(
  artifact: Artifact,
  { prefix: given, sha256_in_metadata }: Given,
): Pick<NewObject, "key" | "contentType" | "body" | "digest" | "digestInMetadata"> {
  const path = given.replaceAll(/^\/+|\/+$/g, "");
  const { key, contentType, body, digest } = artifact;
  return {
    key: path === "" ? key : `${path}/${key}`,
    contentType,
    body,
    digest,
    digestInMetadata: sha256_in_metadata,
  };
}
