import { ActionError } from "../../catalogue/errors.ts";
import { retryAfterMs } from "../../catalogue/http.ts";
import { actionError, type SdkError } from "../aws/errors.ts";

/** What a request was about. */
export interface Subject {
  /** As a person knows it: `S3 in eu-west-1`, `MinIO at http://minio:9000`. */
  readonly endpoint: string;
  /** That requests are signed for. */
  readonly region: string;
  readonly bucket: string;
  /** Undefined where it is the bucket itself. */
  readonly key: string | undefined;
  /** `s3://evidence/captures/…`: the bucket's or the object's. */
  readonly location: string;
  /** Where its region is set: `region in the output's parameters`. */
  readonly regionSetting: string;
}

/** What S3 throws; of a HEAD request, which has no body, it has neither a name nor words. */
type S3Error = SdkError & { readonly Region?: string };

export function statusOf(error: unknown): number | undefined {
  return (error as SdkError).$metadata?.httpStatusCode;
}

export function s3Error(thrown: unknown, subject: Subject): ActionError {
  if (thrown instanceof ActionError) {
    return thrown;
  }
  const error = thrown as S3Error;
  return explained(error, subject) ?? actionError(error, subject.location, denialOf(subject));
}

function explained(error: S3Error, subject: Subject): ActionError | undefined {
  const region = regionIn(error);
  if (region !== undefined && region !== subject.region) {
    return invalid(error, `bucket ${subject.bucket} is in region ${region}: set ${subject.regionSetting}`);
  }
  if (isBucketMissing(error, subject)) {
    const words = `bucket ${subject.bucket} does not exist (${subject.endpoint})`;
    return new ActionError("not_found", words, { cause: error, notBegun: true });
  }
  return byName(error, subject);
}

/** Where the bucket is: S3 says so with a redirect, and where it refuses what was signed for another region. */
function regionIn(error: S3Error): string | undefined {
  return error.Region ?? error.$response?.headers?.["x-amz-bucket-region"];
}

function isBucketMissing(error: S3Error, { key }: Subject): boolean {
  return error.name === "NoSuchBucket" || (statusOf(error) === 404 && key === undefined);
}

const throttles = ["SlowDown", "SlowDownRead", "SlowDownWrite"];
const badCredentials = [
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "ExpiredToken",
  "InvalidToken",
  "InvalidClientTokenId",
];

function byName(error: S3Error, { endpoint, location }: Subject): ActionError | undefined {
  const words = `${error.name}: ${error.message}`;
  if (throttles.includes(error.name)) {
    const wait = retryAfterMs(error.$response?.headers?.["retry-after"]);
    return new ActionError("throttled", `${endpoint}: ${words}`, { cause: error, retryAfterMs: wait, notBegun: true });
  }
  if (badCredentials.includes(error.name)) {
    const options = { cause: error, notBegun: true };
    return new ActionError("forbidden", `${endpoint} does not accept the credentials: ${words}`, options);
  }
  switch (error.name) {
    case "RequestTimeTooSkewed":
      // It passes: the SDK signs what follows by the server's clock.
      return new ActionError("unavailable", `the clock of this machine and that of ${endpoint} differ: ${words}`, {
        cause: error,
        notBegun: true,
      });
    case "RequestTimeout":
      return new ActionError("unavailable", `${location}: ${words}`, { cause: error });
    case "NotImplemented":
      return invalid(error, `${endpoint} cannot store ${location}: ${words}`);
    default:
      return undefined;
  }
}

function invalid(cause: S3Error, words: string): ActionError {
  return new ActionError("invalid", words, { cause, notBegun: true });
}

function denialOf({ location }: Subject): string {
  return `missing permission s3:PutObject on ${location}`;
}
