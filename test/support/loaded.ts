import type { HalluxOptions } from "../../src/hallux.ts";
import { describeProblem } from "../../src/schema/problem.ts";
import type { Contents } from "../../src/settings/contents.ts";
import { loadSettings } from "../../src/settings/load.ts";
import { realCatalogue } from "./real-catalogue.ts";

interface Given {
  readonly env: Readonly<Record<string, string>>;
  /** The text of the only rules file, or where rules files are. */
  readonly rules: string | readonly string[];
  readonly readFile?: (path: string) => string;
}

/** What `startHallux` begins with. Rules that are a text are watched by nobody. */
export async function loadedFrom({
  env,
  rules,
  readFile = () => "",
}: Given): Promise<Pick<HalluxOptions, "loaded" | "load">> {
  const isText = typeof rules === "string";
  const options = {
    env: isText ? { WATCH_RULES: "false", ...env } : env,
    catalogue: realCatalogue,
    rulesFiles: isText ? ["rules.yaml"] : rules,
    readFile: (path: string) => (isText && path === "rules.yaml" ? rules : readFile(path)),
  };
  const load = (known?: Contents) => loadSettings(options, known);
  const loaded = await load();
  if (loaded.settings === undefined) {
    throw new Error(loaded.problems.map(describeProblem).join("\n"));
  }
  return { loaded, load };
}
