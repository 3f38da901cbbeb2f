import { abortedError, untilAborted } from "../../catalogue/abort.ts";
import { type Breaker, createBreaker, verdictOfCode } from "../breaker.ts";
import type { BucketPlace, ObjectStore } from "../object-store.ts";
import { storeObject } from "../store-object.ts";
import { type Subject, s3Error } from "./errors.ts";
import type { Ask, S3 } from "./sdk.ts";

export interface S3StoreOptions {
  /** Called once for each region, and again where it failed; undefined for the region that the configuration says. */
  open(region: string | undefined): Promise<Opened>;
  /** Where a region is set, for who named a wrong one. */
  readonly regionSetting: string;
}

export interface Opened {
  readonly client: S3;
  /** As a person knows it: `S3 in eu-west-1`, `MinIO at http://minio:9000`. */
  readonly name: string;
  readonly region: string;
  /** What stands before the bucket in a location: `s3:/`, `http://minio:9000`. */
  readonly root: string;
}

interface Endpoint extends Opened {
  readonly breaker: Breaker;
}

/** AWS S3, or what speaks like it. */
export function createS3Store({ open, regionSetting }: S3StoreOptions): ObjectStore {
  const endpoints = new Map<string | undefined, Promise<Endpoint>>();

  async function opened(region: string | undefined): Promise<Endpoint> {
    const parts = await open(region);
    return { ...parts, breaker: createBreaker({ endpoint: parts.name }) };
  }

  function endpointOf(region: string | undefined): Promise<Endpoint> {
    const known = endpoints.get(region);
    if (known !== undefined) {
      return known;
    }
    const endpoint = opened(region).catch((error: unknown) => {
      endpoints.delete(region);
      throw error;
    });
    endpoints.set(region, endpoint);
    return endpoint;
  }

  async function reach(
    { bucket, region }: BucketPlace,
    key: string | undefined,
    signal: AbortSignal,
  ): Promise<Reached> {
    const endpoint = await untilAborted(endpointOf(region), signal, "the loading of the S3 client");
    const root = `${endpoint.root}/${bucket}`;
    const location = key === undefined ? root : `${root}/${key}`;
    const subject = { endpoint: endpoint.name, region: endpoint.region, bucket, key, location, regionSetting };
    return { client: endpoint.client, root, ask: asking(endpoint, subject) };
  }

  return {
    async putObject(object, signal) {
      const { client, root, ask } = await reach(object, object.key, signal);
      const key = await storeObject(object, client.bucketOf(object, ask), signal);
      return { location: `${root}/${key}` };
    },
    async findBucket(place, signal) {
      const { client, ask } = await reach(place, undefined, signal);
      await ask((abortSignal) => client.findBucket(place.bucket, abortSignal), signal);
    },
  };
}

interface Reached {
  readonly client: S3;
  /** The bucket's location. */
  readonly root: string;
  readonly ask: Ask;
}

function asking({ client, breaker, name }: Endpoint, subject: Subject): Ask {
  const what = `the request to ${name}`;
  return async (request, signal) => {
    // Another service gives them: that it fails is not the store's fault.
    await untilAborted(client.credentials(), signal, what).catch((error: unknown) => {
      throw s3Error(error, subject);
    });
    return breaker(
      () =>
        untilAborted(request(signal), signal, what).catch((error: unknown) => {
          throw signal.aborted ? abortedError(signal, what) : s3Error(error, subject);
        }),
      verdictOfCode,
    );
  };
}
