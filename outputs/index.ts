import type { Output } from "../src/catalogue/catalogue.ts";
import { file } from "./local/file.ts";

export const outputs: readonly Output[] = [file];
