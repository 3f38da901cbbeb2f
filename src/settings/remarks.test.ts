import { describe, expect, it } from "vitest";
import { realCatalogue } from "../../test/support/real-catalogue.ts";
import { loadSettings } from "./load.ts";

const rules = `
- rule: Collect
  match: {}
  actions:
    - { action: Collect, actionner: kubernetes:script, parameters: { file: /nowhere/collect.sh } }
    - action: Keep
      actionner: kubernetes:log
      output: { target: minio:s3, parameters: { bucket: evidence } }
`;

describe("the settings", () => {
  it("load with remarks on what will fail when an action needs it", async () => {
    const files: Readonly<Record<string, string>> = { "config.yaml": "rules_files: [rules.yaml]", "rules.yaml": rules };
    const readFile = (path: string) => files[path] ?? "";

    const { settings } = await loadSettings({
      path: "config.yaml",
      env: {},
      readFile,
      catalogue: realCatalogue,
      rulesFiles: [],
    });

    expect(settings?.remarks).toEqual([
      { message: "output without its settings", remark: expect.stringContaining("lacks minio.endpoint") },
      {
        message: "file of a rule cannot be read",
        remark: expect.stringMatching(/^rules\.yaml:5:76: remark: the file \/nowhere\/collect\.sh cannot be read/),
      },
    ]);
  });
});
