import { access, constants } from "node:fs/promises";
import { faultOf } from "../schema/file-fault.ts";
import type { Problem } from "../schema/problem.ts";
import type { NamedFile } from "./rule.ts";

/**
 * Remarks on those that cannot be read on this machine, now. They are no faults of the rules: the files are read where Hallux runs,
 * each time an action needs them, and a check in CI runs elsewhere.
 */
export async function remarksOn(files: readonly NamedFile[]): Promise<readonly Problem[]> {
  const remarks = await Promise.all(files.map(async (file) => remarkOn(file, await whyUnreadable(file.path))));
  return remarks.filter((remark) => remark !== undefined);
}

function remarkOn({ path, place }: NamedFile, reason: string | undefined): Problem | undefined {
  const message = `the file ${path} cannot be read on this machine: ${reason}`;
  return reason === undefined ? undefined : { ...place, message, hint: "it must be there where Hallux runs" };
}

async function whyUnreadable(path: string): Promise<string | undefined> {
  return access(path, constants.R_OK).then(
    () => undefined,
    (error: Error) => faultOf(error) ?? error.message,
  );
}
