import { CreateAliasCommand, CreateFunctionCommand, LambdaClient, PublishVersionCommand } from "@aws-sdk/client-lambda";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { lambda } from "../../actionners/aws/lambda.ts";
import type { Result } from "../../src/catalogue/outcome.ts";
import { createAws, dryRunAws } from "../../src/clients/aws/adapter.ts";
import type { AwsSettings } from "../../src/clients/aws/settings.ts";
import { Secret } from "../../src/schema/secret.ts";
import { type Moto, motoPython, startMoto, withoutMoto } from "../peers/moto.ts";
import { eventOf } from "../support/events.ts";
import { failureOf, runAlone } from "../support/run-alone.ts";

const region = "eu-west-1";
const arn = `arn:aws:lambda:${region}:123456789012:function:isolate`;
const responder = "arn:aws:iam::123456789012:role/responder";

/** The keys of a user who may assume the role, and nothing else. */
interface Keys {
  readonly accessKey: string;
  readonly secretKey: Secret;
}

let moto: Moto;
let keys: Keys;

beforeAll(async () => {
  if (motoPython === undefined) {
    return;
  }
  moto = await startMoto(motoPython);
  await createFunction();
  keys = await createUserAndRole();
  await moto.enforcePermissions();
});
afterAll(() => moto?.[Symbol.asyncDispose]());
beforeEach(() => {
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent");
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
  return () => vi.unstubAllEnvs();
});

/** Version 1 has the alias `live`; what is not published is `$LATEST`. */
async function createFunction(): Promise<void> {
  await iam({ Action: "CreateRole", RoleName: "runs-functions", AssumeRolePolicyDocument: JSON.stringify({}) });
  const credentials = { accessKeyId: "setup", secretAccessKey: "setup" };
  const client = new LambdaClient({ region, endpoint: moto.url, credentials });
  await client.send(
    new CreateFunctionCommand({
      FunctionName: "isolate",
      Role: "arn:aws:iam::123456789012:role/runs-functions",
      Runtime: "python3.13",
      Handler: "index.handler",
      Code: { ZipFile: emptyZip },
    }),
  );
  await client.send(new PublishVersionCommand({ FunctionName: "isolate" }));
  await client.send(new CreateAliasCommand({ FunctionName: "isolate", Name: "live", FunctionVersion: "1" }));
  client.destroy();
}

const emptyZip = Buffer.from("504b0506000000000000000000000000000000000000", "hex");

async function createUserAndRole(): Promise<Keys> {
  const trust = {
    Statement: [
      {
        Effect: "Allow",
        Principal: { AWS: "*" },
        Action: "sts:AssumeRole",
        Condition: { StringEquals: { "sts:ExternalId": "shared with Hallux" } },
      },
    ],
  };
  await iam({ Action: "CreateRole", RoleName: "responder", AssumeRolePolicyDocument: JSON.stringify(trust) });
  await iam({ Action: "PutRolePolicy", RoleName: "responder", ...allowing("lambda:Invoke*") });
  await iam({ Action: "CreateUser", UserName: "hallux" });
  await iam({ Action: "PutUserPolicy", UserName: "hallux", ...allowing("sts:AssumeRole") });
  const answer = await iam({ Action: "CreateAccessKey", UserName: "hallux" });
  return {
    accessKey: elementOf(answer, "AccessKeyId"),
    secretKey: new Secret(elementOf(answer, "SecretAccessKey")),
  };
}

function allowing(action: string) {
  const document = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: action, Resource: "*" }] };
  return { PolicyName: "may", PolicyDocument: JSON.stringify(document) };
}

async function iam(parameters: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(moto.url, {
    method: "POST",
    headers: { authorization: "AWS4-HMAC-SHA256 Credential=setup/20260101/us-east-1/iam/aws4_request" },
    body: new URLSearchParams({ Version: "2010-05-08", ...parameters }),
  });
  const answer = await response.text();
  if (!response.ok) {
    throw new Error(answer);
  }
  return answer;
}

function elementOf(xml: string, name: string): string {
  return new RegExp(`<${name}>([^<]+)<`).exec(xml)?.[1] ?? "";
}

interface Traits {
  readonly settings?: AwsSettings;
  readonly rule?: string;
  readonly dryRun?: boolean;
}

/** As a Hallux whose configuration has the role. */
function run(parameters: Readonly<Record<string, string>>, traits: Traits = {}): Promise<Result> {
  const { settings = {}, rule = "Terminal shell in container", dryRun = false } = traits;
  const aws = createAws({
    region,
    ...keys,
    roleArn: responder,
    externalId: new Secret("shared with Hallux"),
    endpoints: { lambda: moto.url, sts: moto.url },
    ...settings,
  });
  return runAlone(lambda, {
    event: eventOf({ rule, fields: { "evt.num": 7 } }),
    params: { aws_lambda_name: "isolate", ...parameters },
    facts: { "aws.region": region },
    clients: { aws: dryRun ? dryRunAws(aws) : aws },
    dryRun,
  });
}

function answerIn(result: Result): { readonly version?: string; readonly event?: Record<string, unknown> } {
  return JSON.parse(("text" in result && result.text) || "{}");
}

describe.skipIf(motoPython === undefined)(
  `aws:lambda at AWS${motoPython === undefined ? ` (${withoutMoto})` : ""}`,
  () => {
    it.each([
      ["the latest version", {}, "$LATEST"],
      ["an alias", { aws_lambda_alias_or_version: "live" }, "1"],
      ["a version", { aws_lambda_alias_or_version: "1" }, "1"],
      ["the latest version by its name", { aws_lambda_alias_or_version: "$LATEST" }, "$LATEST"],
      ["a name that ends in an alias", { aws_lambda_name: "isolate:live" }, "1"],
      ["an ARN", { aws_lambda_name: arn }, "$LATEST"],
      ["an ARN and an alias", { aws_lambda_name: arn, aws_lambda_alias_or_version: "live" }, "1"],
      ["an ARN that ends in an alias", { aws_lambda_name: `${arn}:live` }, "1"],
      ["an ARN that ends in a version", { aws_lambda_name: `${arn}:1` }, "1"],
    ])("calls %s", async (_what, parameters, version) => {
      const outcome = await run(parameters);

      expect(outcome).toMatchObject({ status: "success" });
      expect(answerIn(outcome)).toMatchObject({
        version,
        event: { output_fields: { "evt.num": 7 }, context: { "aws.region": region } },
      });
    });

    it.each([
      ["RequestResponse", "function isolate invoked"],
      ["Event", "event queued for function isolate"],
      ["DryRun", "function isolate can be invoked"],
    ])("by %s says what came of it", async (type, summary) => {
      const outcome = await run({ aws_lambda_invocation_type: type });

      expect(outcome).toMatchObject({ status: "success", summary });
    });

    it("does not run the function in a dry run", async () => {
      const outcome = await run({}, { rule: "Break", dryRun: true });

      expect(outcome).toMatchObject({ summary: "function isolate can be invoked" });
    });

    it("fails where the function does", async () => {
      const error = await failureOf(run({}, { rule: "Break" }));

      expect(error).toMatchObject({
        code: "internal",
        message: 'function isolate failed (Unhandled): {"errorMessage": "boom"}',
      });
    });

    it.each([
      ["function", { aws_lambda_name: "absent" }],
      ["alias", { aws_lambda_alias_or_version: "absent" }],
      ["version", { aws_lambda_alias_or_version: "2" }],
      ["alias in a name", { aws_lambda_name: "isolate:absent" }],
      ["alias in an ARN", { aws_lambda_name: `${arn}:absent` }],
    ])("tells that there is no such %s", async (_what, parameters) => {
      const error = await failureOf(run(parameters));

      expect(error).toMatchObject({ code: "not_found", notBegun: true });
      expect(error.message).toMatch(/absent|isolate:2/);
    });

    it("may not call it without the role", async () => {
      const error = await failureOf(run({}, { settings: { roleArn: undefined } }));

      // moto refuses in a form that is not Lambda's: the words are tested with the adapter.
      expect(error).toMatchObject({ code: "forbidden", notBegun: true });
    });

    it("may not assume the role with another external id, which it does not show", async () => {
      const error = await failureOf(run({}, { settings: { externalId: new Secret("somebody else's") } }));

      expect(error).toMatchObject({ code: "forbidden", notBegun: true });
      expect(error.message).toContain(
        `missing permission sts:AssumeRole on role ${responder}, or its external id differs`,
      );
      expect(error.message).not.toContain("somebody else's");
    });
  },
);
