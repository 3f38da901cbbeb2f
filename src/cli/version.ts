import { Command } from "commander";

export interface VersionDeps {
  readonly version: string;
  /** `v26.10.0`. */
  readonly nodeVersion: string;
  /** To standard output. */
  readonly write: (text: string) => void;
}

/** `hallux version`. */
export function versionCommand({ version, nodeVersion, write }: VersionDeps): Command {
  return new Command("version")
    .description("print the version")
    .action(() => write(`hallux ${version} (node ${nodeVersion})\n`));
}
