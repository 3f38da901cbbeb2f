import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { KubernetesObject } from "@kubernetes/client-node";
import { parseAllDocuments } from "yaml";

export const chart = join(import.meta.dirname, "../../charts/hallux");

export interface Values {
  readonly [name: string]: unknown;
}

/** An object with what its kind has of its own, as the templates write it. */
export interface Rendered extends KubernetesObject {
  // biome-ignore lint/suspicious/noExplicitAny: each kind has its own form, and the API server checks it
  readonly [key: string]: any;
}

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Beside the checkout, else on the PATH; undefined where it is in neither. */
export function programNamed(name: string): string | undefined {
  const { PATH = "" } = process.env;
  const places = [join(import.meta.dirname, "../../../shared/cluster"), ...PATH.split(delimiter)];
  return places.map((place) => join(place, name)).find(isExecutable);
}

export const helm = programNamed("helm");
export const withoutHelm = "skipped: there is no helm beside the checkout and none on the PATH";

export function run(program: string | undefined, args: readonly string[], input = ""): Run {
  if (program === undefined) {
    throw new Error(`there is no program for ${args.join(" ")}`);
  }
  const { status, stdout, stderr, error } = spawnSync(program, args, { input, encoding: "utf8", env: quiet() });
  if (error !== undefined) {
    throw error;
  }
  return { code: status, stdout, stderr };
}

/** The output; throws with what it said where it failed. */
export function must(program: string | undefined, args: readonly string[], input = ""): string {
  const { code, stdout, stderr } = run(program, args, input);
  if (code !== 0) {
    throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  }
  return stdout;
}

/** `helm template` of the release hallux in the namespace hallux. */
export function template(values: Values, namespace = "hallux", release = "hallux"): Run {
  return run(helm, ["template", release, chart, "--namespace", namespace, "--values", "-"], JSON.stringify(values));
}

export function render(values: Values, namespace?: string, release?: string): readonly Rendered[] {
  const { code, stdout, stderr } = template(values, namespace, release);
  if (code !== 0) {
    throw new Error(stderr);
  }
  return objectsIn(stdout);
}

export function objectsIn(text: string): readonly Rendered[] {
  return parseAllDocuments(text).flatMap((document) => {
    const faults = [...document.errors, ...document.warnings];
    if (faults.length > 0) {
      throw new Error(`${faults.join("\n")}\n${text}`);
    }
    return document.toJS() ?? [];
  });
}

/** The first of its kind. */
export function find(objects: readonly Rendered[], kind: string): Rendered {
  const found = objects.find((object) => object.kind === kind);
  if (found === undefined) {
    throw new Error(`there is no ${kind} among ${objects.map((object) => object.kind).join(", ")}`);
  }
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A cluster that somebody's shell names is none of its business. */
function quiet(): NodeJS.ProcessEnv {
  const { KUBECONFIG: _, ...env } = process.env;
  return env;
}
