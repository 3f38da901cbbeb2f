import { actionners } from "../../actionners/index.ts";
import { contexts } from "../../contexts/index.ts";
import { notifiers } from "../../notifiers/index.ts";
import { outputs } from "../../outputs/index.ts";
import { createCatalogue } from "../../src/catalogue/catalogue.ts";

/** What ships. */
export const realCatalogue = createCatalogue({ actionners, contexts, outputs, notifiers });
