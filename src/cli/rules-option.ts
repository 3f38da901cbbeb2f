import { Option } from "commander";

/** `-r`, which may be given again and again. */
export function rulesOption(): Option {
  return new Option("-r, --rules <file>", "rules file; may be given again, later ones over earlier ones")
    .argParser((file: string, files: readonly string[]) => [...files, file])
    .default([], "rules_files of the configuration");
}
