import type { Artifact } from "../src/catalogue/catalogue.ts";
import type { NewObject } from "../src/clients/object-store.ts";
import { text } from "../src/schema/field.ts";

export const prefix = text("What stands before the object's name, as a path", { default: "", format: "prefix" });

/** As S3 and what speaks like it wants them. */
export const bucket = text("The bucket; it must exist", {
  required: true,
  pattern: "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
});

/** `/captures/` → `captures/2026-11-21T08-15-00Z_shop_cart-1_log` */
export function objectOf(
  artifact: Artifact,
  { prefix: given }: { readonly prefix: string },
): Pick<NewObject, "key" | "contentType" | "body" | "digest"> {
  const path = given.replaceAll(/^\/+|\/+$/g, "");
  const { key, contentType, body, digest } = artifact;
  return { key: path === "" ? key : `${path}/${key}`, contentType, body, digest };
}
