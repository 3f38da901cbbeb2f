/** `COPY --from=build --chown=65532:65532 a b /to/` */
export interface Copy {
  /** The stage that it is taken from. */
  readonly from: string;
  readonly chown: string | undefined;
  readonly mode: number | undefined;
  readonly sources: readonly string[];
  readonly to: string;
}

/** What the last stage of a Dockerfile makes of its base image. */
export interface Image {
  readonly copies: readonly Copy[];
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  readonly volumes: readonly string[];
  readonly ports: readonly number[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly labels: readonly string[];
}

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Reads as much of the language as our Dockerfile uses, and throws at anything else in its last stage. */
export function readImage(dockerfile: string): Image {
  const instructions = instructionsOf(dockerfile);
  const last = instructions.slice(instructions.findLastIndex(({ name }) => name === "FROM") + 1);
  const known = ["ARG", "LABEL", "COPY", "ENV", "VOLUME", "USER", "EXPOSE", "ENTRYPOINT", "CMD"];
  const unknown = last.find(({ name }) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`the last stage of the Dockerfile has ${unknown.name}, which test/image cannot follow`);
  }
  const all = (name: string) => last.filter((instruction) => instruction.name === name).map(({ rest }) => rest);
  const list = (name: string) => all(name).flatMap((rest) => JSON.parse(rest) as string[]);
  const labels = all("LABEL").flatMap((rest) => rest.match(/[\w.]+(?==)/g) ?? []);
  return {
    copies: all("COPY").map(copyOf),
    env: Object.fromEntries(all("ENV").flatMap((rest) => rest.split(" ").map((pair) => splitAt(pair, "=")))),
    user: all("USER").at(-1) ?? "0:0",
    volumes: list("VOLUME"),
    ports: all("EXPOSE").map(Number),
    entrypoint: list("ENTRYPOINT"),
    cmd: list("CMD"),
    labels,
  };
}

/** The default of an `ARG` before the first stage. */
export function argumentOf(dockerfile: string, name: string): string | undefined {
  return new RegExp(`^ARG ${name}=(.*)$`, "m").exec(dockerfile)?.[1];
}

function instructionsOf(dockerfile: string): readonly Instruction[] {
  const lines = dockerfile.replace(/^#.*\n/gm, "").replace(/\s*\\\n\s*/g, " ");
  return lines.split("\n").flatMap((line) => {
    const [name = "", ...rest] = line.trim().split(" ");
    return name === "" ? [] : [{ name, rest: rest.join(" ") }];
  });
}

function copyOf(rest: string): Copy {
  const words = rest.split(/ +/);
  const flags = Object.fromEntries(words.filter((word) => word.startsWith("--")).map((word) => splitAt(word, "=")));
  const paths = words.filter((word) => !word.startsWith("--"));
  return {
    from: flags["--from"] ?? "the build context",
    chown: flags["--chown"],
    mode: flags["--chmod"] === undefined ? undefined : Number.parseInt(flags["--chmod"], 8),
    sources: paths.slice(0, -1),
    to: paths.at(-1) ?? "",
  };
}

function splitAt(text: string, separator: string): readonly [string, string] {
  const [name = "", ...value] = text.split(separator);
  return [name, value.join(separator)];
}
