import { Command } from "commander";
import type { Catalogue } from "../catalogue/catalogue.ts";
import { rulesSchema } from "../rules/schema.ts";

export interface SchemaDeps {
  readonly catalogue: Catalogue;
  /** To standard output. */
  readonly write: (text: string) => void;
}

/** `hallux schema`. */
export function schemaCommand({ catalogue, write }: SchemaDeps): Command {
  return new Command("schema")
    .description("print the JSON Schema of rules files, for editors")
    .action(() => write(`${JSON.stringify(rulesSchema(catalogue), undefined, 2)}\n`));
}
