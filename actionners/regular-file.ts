import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { ActionError } from "../src/catalogue/errors.ts";

/**
 * Of a file on the machine that Hallux runs on: no more than a byte over the limit, which shows that it is too long. A FIFO, which
 * nobody may ever write to, is not waited for. Rejects `invalid`; the path follows what the file is (`script file`) there.
 */
export async function readRegularFile(what: string, path: string, maxBytes: number): Promise<Buffer> {
  return readStart(path, maxBytes).catch((cause: NodeJS.ErrnoException) => {
    const reason = reasons[String(cause.code)] ?? cause.message;
    throw new ActionError("invalid", `${what} ${path} cannot be read: ${reason}`, { cause, notBegun: true });
  });
}

async function readStart(path: string, end: number): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!(await file.stat()).isFile()) {
    throw new Error("it is not a regular file");
  }
  return Buffer.concat(await file.createReadStream({ end, autoClose: false }).toArray());
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file on the machine that Hallux runs on; mount it there",
  EACCES: "Hallux's user may not read it",
};
