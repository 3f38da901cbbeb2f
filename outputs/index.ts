import type { Output } from "../src/catalogue/catalogue.ts";
import { s3 as awsS3 } from "./aws/s3.ts";
import { gcs } from "./gcp/gcs.ts";
import { file } from "./local/file.ts";
import { s3 as minioS3 } from "./minio/s3.ts";

export const outputs: readonly Output[] = [file, awsS3, minioS3, gcs];
