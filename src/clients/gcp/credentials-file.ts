import { createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ActionError } from "../../catalogue/errors.ts";

export interface ServiceAccountFile {
  readonly type: "service_account";
  readonly client_email: string;
  readonly private_key: string;
  readonly project_id?: string;
}

/** Workload identity federation: a token that somebody else gave to this workload becomes one of Google's. */
export interface ExternalAccountFile {
  readonly type: "external_account";
  readonly audience: string;
  readonly subject_token_type: string;
  readonly token_url?: string;
  readonly service_account_impersonation_url?: string;
  /** `environment_id` begins with `aws` there, and is absent elsewhere. */
  readonly credential_source: { readonly environment_id?: string };
}

export type CredentialsFile = ServiceAccountFile | ExternalAccountFile;

const keys: Readonly<Record<CredentialsFile["type"], readonly string[]>> = {
  service_account: ["client_email", "private_key"],
  external_account: ["audience", "subject_token_type", "credential_source"],
};

/** Rejects `invalid`, and never quotes the file. */
export async function readCredentialsFile(path: string): Promise<CredentialsFile> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw unusable(path, `it cannot be read (${cause.code})`);
  });
  const content = contentOf(text);
  if (content === undefined) {
    throw unusable(path, "it is not JSON");
  }
  const { type } = content;
  if (type !== "service_account" && type !== "external_account") {
    throw unusable(path, "its type is neither service_account nor external_account");
  }
  const missing = keys[type].filter((key) => !content[key]);
  if (missing.length > 0) {
    throw unusable(path, `it lacks ${missing.join(", ")}`);
  }
  if (type === "service_account" && !isKey(String(content["private_key"]))) {
    throw unusable(path, "its private_key is no key in PEM form");
  }
  return content as unknown as CredentialsFile;
}

function contentOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const content: unknown = JSON.parse(text);
    return typeof content === "object" && content !== null ? { ...content } : undefined;
  } catch {
    return undefined;
  }
}

function isKey(pem: string): boolean {
  try {
    createPrivateKey(pem);
    return true;
  } catch {
    return false;
  }
}

function unusable(path: string, why: string): ActionError {
  return new ActionError("invalid", `the credentials file ${path} cannot be used: ${why}`, { notBegun: true });
}
