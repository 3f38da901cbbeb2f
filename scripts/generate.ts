import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { actionners } from "../actionners/index.ts";
import { contexts } from "../contexts/index.ts";
import { notifiers } from "../notifiers/index.ts";
import { outputs } from "../outputs/index.ts";
import { createCatalogue } from "../src/catalogue/catalogue.ts";
import { createProgram, type ProgramDeps } from "../src/cli/program.ts";
import { writeGenerated } from "../test/chart/generated.ts";
import { referencePages } from "./pages.ts";

/** Writes docs/generated afresh, where a page that is no longer generated goes, and what the chart holds of Hallux. */
const folder = new URL("../docs/generated/", import.meta.url);
const catalogue = createCatalogue({ actionners, contexts, outputs, notifiers });
const pages = referencePages(catalogue, createProgram(neverRun()));

rmSync(folder, { recursive: true, force: true });
for (const [name, content] of pages) {
  const file = new URL(name, folder);
  mkdirSync(new URL(".", file), { recursive: true });
  writeFileSync(file, content);
}
console.log(`docs/generated: ${pages.size} files`);

writeGenerated();
execFileSync("npx", ["biome", "format", "--write", "charts/hallux"], { stdio: "inherit" });

/** The commands are only described here. */
function neverRun(): ProgramDeps {
  const nothing = () => undefined;
  return {
    version: "",
    nodeVersion: "",
    catalogue,
    env: {},
    readFile: () => "",
    readStdin: async () => "",
    destination: { write: nothing },
    kubeconfigSource: () => ({ from: "cluster" }),
    onStopRequest: nothing,
    onReloadRequest: nothing,
    write: nothing,
    writeError: nothing,
    setExitCode: nothing,
    now: () => "",
    stateDirectory: "",
    pid: 0,
    usage: () => ({ cpuSeconds: 0, residentBytes: 0 }),
  };
}
