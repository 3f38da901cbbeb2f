import { describe, expect, it } from "vitest";
import { Secret } from "../../schema/secret.ts";
import type { NewObject } from "../object-store.ts";
import { createMinio } from "./adapter.ts";

const object: NewObject = {
  bucket: "evidence",
  region: undefined,
  key: "log",
  contentType: "text/plain",
  body: (async function* () {})(),
  digest: () => ({ bytes: 0, sha256: "" }),
  digestInMetadata: true,
  storageClass: undefined,
  encryption: undefined,
};

describe("MinIO", () => {
  it("that is not configured is a failure that says what to set", async () => {
    const settings = { endpoint: undefined, accessKey: undefined, secretKey: new Secret("s"), tls: false, region: "r" };

    const stored = createMinio(settings).putObject(object, new AbortController().signal);

    await expect(stored).rejects.toMatchObject({
      code: "invalid",
      message: "no MinIO is configured: set minio.endpoint, minio.access_key and minio.secret_key in the configuration",
      notBegun: true,
    });
  });
});
