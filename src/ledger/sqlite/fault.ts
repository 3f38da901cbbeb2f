/** Why the ledger's files cannot be used, in words that say what to do. */
export class StoreFault extends Error {
  override readonly name = "StoreFault";
  /** Another process has the ledger: nothing that gets better by itself. */
  readonly held: boolean;

  constructor(message: string, held: boolean) {
    super(message);
    this.held = held;
  }
}

/** SQLite's result codes: https://sqlite.org/rescode.html */
const full = 13;
const damaged = [11, 26];
const inaccessible = [3, 8, 14, 23];
const ioError = 10;

interface Coded {
  /** Of Node: `EACCES`, `ERR_SQLITE_ERROR`. */
  readonly code?: string;
  /** Of SQLite; the low byte is its primary code. */
  readonly errcode?: number;
}

/** What an operator should read about an error that came of working in the directory. */
export function storeFault(error: unknown, directory: string): StoreFault {
  if (error instanceof StoreFault) {
    return error;
  }
  const { code, errcode = 0 } = error as Coded;
  const reason = error instanceof Error ? error.message : String(error);
  return new StoreFault(wordsFor({ code, primary: errcode & 0xff, reason }, directory), false);
}

interface Cause {
  readonly code: string | undefined;
  readonly primary: number;
  readonly reason: string;
}

function wordsFor({ code, primary, reason }: Cause, directory: string): string {
  if (primary === full || code === "ENOSPC" || code === "EDQUOT") {
    return `the disk with the ledger is full (${directory}): free some space, then it goes on by itself`;
  }
  if (damaged.includes(primary)) {
    return (
      `the ledger in ${directory} is damaged (${reason}): \`hallux ledger check --path ${directory}\` says where, ` +
      "`hallux ledger export` saves what can be read; then move the files away, and it goes on by itself"
    );
  }
  if (inaccessible.includes(primary) || ["EACCES", "EPERM", "EROFS"].includes(code ?? "")) {
    return (
      `the ledger's directory ${directory} cannot be written (${reason}): ` +
      "let Hallux's user write there, or set another ledger.path"
    );
  }
  if (code === "ENOTDIR" || code === "EEXIST") {
    return `the ledger's path ${directory} is not a directory: set another ledger.path`;
  }
  const place = primary === ioError ? "the disk with the ledger fails" : "the ledger cannot be used";
  return `${place} (${directory}: ${reason}): see the log of the machine`;
}
