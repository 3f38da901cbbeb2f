import { expect, it } from "vitest";
import { versionCommand } from "./version.ts";

it("prints the version of Hallux and of Node", async () => {
  const written: string[] = [];
  const command = versionCommand({
    version: "1.2.3",
    nodeVersion: "v26.0.0",
    write: (text) => void written.push(text),
  });

  await command.parseAsync([], { from: "user" });

  expect(written).toEqual(["hallux 1.2.3 (node v26.0.0)\n"]);
});
