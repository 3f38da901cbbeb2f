import { describe, expect, it } from "vitest";
import { disguised, stepsOf } from "./markdown.ts";

describe("the steps of a page", () => {
  it("are the commands of a session, each with what is shown below it", () => {
    const page = "# Page\n\n```console\n$ cat a\nA\n\nB\n$ ls \\\n  -l\n```\n";

    const steps = stepsOf(page);

    expect(steps).toEqual([
      { kind: "command", line: 4, text: "cat a", shows: "A\n\nB\n" },
      { kind: "command", line: 8, text: "ls \\\n  -l", shows: undefined },
    ]);
  });

  it("are the commands of a script, as many lines as the shell wants for each, and no comments", () => {
    const page = "```sh\n# first\ncat <<END\n$x\nEND\nfor a in 1 2; do\n  echo $a\ndone\necho a |\n  cat\n```\n";

    const steps = stepsOf(page);

    expect(steps.map(({ text }) => text)).toEqual([
      "cat <<END\n$x\nEND",
      "for a in 1 2; do\n  echo $a\ndone",
      "echo a |\n  cat",
    ]);
  });

  it("are files where the block or the line above it gives the name, and nothing else that is shown", () => {
    const page =
      "```yaml\n# a.yaml\nx: 1\n```\n\n```json\n// b.json\n{}\n```\n\nThen `c.txt`:\n\n```text\nC\n```\n\n```yaml\nz: 1\n```\n";

    const steps = stepsOf(page);

    expect(steps).toEqual([
      { kind: "file", line: 2, name: "a.yaml", text: "# a.yaml\nx: 1\n" },
      { kind: "file", line: 7, name: "b.json", text: "{}\n" },
      { kind: "file", line: 14, name: "c.txt", text: "C\n" },
    ]);
  });

  it("have what no shell understands, so that running it fails", () => {
    const page = "```console\nhallux responses show (id\n```\n";

    const steps = stepsOf(page);

    expect(steps.map(({ text }) => text)).toEqual(["hallux responses show (id"]);
  });

  it("do not hide in blocks of another language", () => {
    const page = "```text\n$ rm a\n```\n\n```console\n$ ls\n```\n";

    const hidden = disguised(page);

    expect(hidden).toEqual(["$ rm a"]);
  });
});
