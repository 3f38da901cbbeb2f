import { ActionError } from "../../src/catalogue/errors.ts";
import { readRegularFile } from "../regular-file.ts";

const maxBytes = 64 * 1024;

/**
 * A file that a Secret or ConfigMap was mounted as, read anew each time: it changes when that does. Without the line end that
 * editors add. Rejects `invalid`, and never quotes it.
 */
export async function readMounted(path: string): Promise<string> {
  const bytes = await readRegularFile("the file", path, maxBytes);
  const text = bytes.toString().replace(/\r?\n$/, "");
  if (bytes.length > maxBytes || text === "") {
    const fault = text === "" ? "is empty" : `is longer than ${maxBytes / 1024} KiB`;
    throw new ActionError("invalid", `the file ${path} ${fault}`, { notBegun: true });
  }
  return text;
}
