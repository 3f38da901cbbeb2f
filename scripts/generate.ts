import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { actionners } from "../actionners/index.ts";
import { contexts } from "../contexts/index.ts";
import { notifiers } from "../notifiers/index.ts";
import { outputs } from "../outputs/index.ts";
import { createCatalogue } from "../src/catalogue/catalogue.ts";
import { createProgram, type ProgramDeps } from "../src/cli/program.ts";
import { referencePages } from "./pages.ts";

/** Writes docs/generated afresh: a page that is no longer generated goes. */
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
    write: nothing,
    writeError: nothing,
    setExitCode: nothing,
    now: () => "",
    stateDirectory: "",
    pid: 0,
  };
}
