import { describe, expect, it } from "vitest";
import { loadRules } from "../src/rules/load.ts";
import { describeProblem } from "../src/schema/problem.ts";
import { realCatalogue } from "../test/support/real-catalogue.ts";
import { objectOf } from "./objects.ts";

/** What is wrong with a rule that stores a log so. */
function problemsOf(target: string, parameters: Readonly<Record<string, string>>): readonly string[] {
  const text = `
- rule: Evidence
  match: {}
  actions:
    - action: Keep the log
      actionner: kubernetes:log
      output: ${JSON.stringify({ target, parameters })}
`;
  const { problems } = loadRules([{ path: "rules.yaml", text }], realCatalogue);
  return problems.map(describeProblem).map((problem) => problem.replace(/^rules.yaml:\d+:\d+: error: /, ""));
}

describe("the key of an object", () => {
  it.each([
    { prefix: "", expected: "log" },
    { prefix: "/", expected: "log" },
    { prefix: "captures", expected: "captures/log" },
    { prefix: "captures/", expected: "captures/log" },
    { prefix: "/captures/pcap/", expected: "captures/pcap/log" },
  ])("stands after the prefix $prefix without a slash before it", ({ prefix, expected }) => {
    const artifact = { key: "log", contentType: "", body: (async function* () {})(), digest: () => ({}) as never };

    expect(objectOf(artifact, { prefix, sha256_in_metadata: true }).key).toBe(expected);
  });
});

describe.each(["aws:s3", "minio:s3", "gcp:gcs"])("%s", (target) => {
  it.each(["", "/", "captures", "/files/", "logs/", "tenant=acme/2026", ".hidden", "a/b.c/d_e-f"])(
    "takes the prefix %j",
    (prefix) => {
      expect(problemsOf(target, { bucket: "falco-talon", prefix })).toEqual([]);
    },
  );

  it.each(["../other", "a/../b", "a/./b", "a//b", "a b", "a\nb", "\\a", "a?b", "a#b", "x".repeat(257)])(
    "does not take the prefix %j",
    (prefix) => {
      const [problem, ...others] = problemsOf(target, { bucket: "falco-talon", prefix });

      expect(problem).toMatch(/^"prefix" must be a path such as evidence\/pcap/);
      expect(others).toEqual([]);
    },
  );

  it.each(["", "ab", "Evidence", "evidence/other", "-evidence", "evidence.", "a b", "evil.example.org?x"])(
    "does not take the bucket %j",
    (bucket) => {
      expect(problemsOf(target, { bucket })).toMatchObject([expect.stringContaining('"bucket" must be')]);
    },
  );

  it("wants a bucket", () => {
    expect(problemsOf(target, {})).toMatchObject([expect.stringContaining(`${target}: parameter "bucket" is missing`)]);
  });
});

describe("encryption on the server", () => {
  it.each(["aws:s3", "minio:s3"])("of %s takes a key for aws:kms only", (target) => {
    const bucket = "evidence";

    const alone = problemsOf(target, { bucket, kms_key_id: "k" });
    const without = problemsOf(target, { bucket, sse: "AES256", kms_key_id: "k" });
    const right = problemsOf(target, { bucket, sse: "aws:kms", kms_key_id: "k" });

    expect([alone, without]).toEqual([
      [`${target}: kms_key_id needs sse: aws:kms`],
      [`${target}: kms_key_id needs sse: aws:kms`],
    ]);
    expect(right).toEqual([]);
  });

  it("of gcp:gcs takes a key by its whole name only", () => {
    expect(problemsOf("gcp:gcs", { bucket: "evidence", kms_key: "mine" })).toHaveLength(1);
  });

  it("takes no region that would lead to another host", () => {
    expect(problemsOf("aws:s3", { bucket: "evidence", region: "x.evil.example.org/" })).toHaveLength(1);
  });
});
