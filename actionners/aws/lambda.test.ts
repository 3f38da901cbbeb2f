import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { httpPeer } from "../../test/support/http-peer.ts";
import { runAlone } from "../../test/support/run-alone.ts";
import { createAws } from "../../src/clients/aws/adapter.ts";
import type { Aws, LambdaAnswer, LambdaInvocation } from "../../src/clients/aws/port.ts";
import type { FalcoEvent } from "../../src/events/event.ts";
import { parseJson } from "../../src/events/json.ts";
import { compileFields } from "../../src/schema/read.ts";
import { Secret } from "../../src/schema/secret.ts";
import { lambda } from "./lambda.ts";

const answered: LambdaAnswer = { statusCode: 200, functionError: undefined, payload: '{"isolated":true}' };

/** AWS, behind our port: answers what the test says and keeps what it was asked. */
function awsAnswering(answer: LambdaAnswer) {
  const invocations: LambdaInvocation[] = [];
  const aws: Pick<Aws, "invokeLambda"> = {
    async invokeLambda(invocation) {
      invocations.push(invocation);
      return answer;
    },
  };
  return { aws, invocations };
}

interface Traits {
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly event?: FalcoEvent;
  readonly facts?: Readonly<Record<string, string>>;
}

function run(aws: Pick<Aws, "invokeLambda">, { parameters, event, facts }: Traits = {}) {
  const clients = { aws: aws as Aws };
  return runAlone(lambda, {
    params: { aws_lambda_name: "isolate", ...parameters },
    clients,
    ...(event && { event }),
    ...(facts && { facts }),
  });
}

describe("aws:lambda", () => {
  it("calls the latest version and waits for its answer, unless told otherwise", async () => {
    const { aws, invocations } = awsAnswering(answered);

    const outcome = await run(aws);

    expect(invocations).toMatchObject([{ functionName: "isolate", qualifier: "$LATEST", type: "RequestResponse" }]);
    expect(outcome).toEqual({
      status: "success",
      summary: "function isolate invoked",
      objects: { function: "isolate", version: "$LATEST" },
      text: '{"isolated":true}',
    });
  });

  it.each([
    ["isolate", undefined],
    ["isolate:live", "live"],
    ["123456789012:function:isolate", undefined],
    ["123456789012:function:isolate:7", "7"],
    ["arn:aws:lambda:eu-west-1:123456789012:function:isolate", undefined],
    ["arn:aws:lambda:eu-west-1:123456789012:function:isolate:live", "live"],
    ["arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:isolate:$LATEST", "$LATEST"],
  ])("sends no alias besides the one that a name has: %s", async (name, own) => {
    const { aws, invocations } = awsAnswering(answered);

    const outcome = await run(aws, { parameters: { aws_lambda_name: name } });

    expect(invocations).toMatchObject([{ functionName: name, qualifier: own === undefined ? "$LATEST" : undefined }]);
    expect(outcome).toMatchObject({ objects: { function: name, version: own ?? "$LATEST" } });
  });

  it.each([
    [
      "isolate:live",
      "canary",
      'aws_lambda_name ends in ":live", and aws_lambda_alias_or_version is "canary": give one',
    ],
    ["arn:aws:lambda:eu-west-1:123456789012:function:isolate:$LATEST", "live", 'ends in ":$LATEST"'],
    ["isolate:live", "live", undefined],
    ["isolate:live", "$LATEST", undefined],
    ["arn:aws:lambda:eu-west-1:123456789012:function:isolate", "live", undefined],
  ])("finds out at loading whether %s can be called as %s", (name, qualifier, fault) => {
    const { values } = compileFields(lambda.params).read({
      aws_lambda_name: name,
      aws_lambda_alias_or_version: qualifier,
    });

    const told = values && lambda.check?.(values);

    expect(told).toEqual(fault === undefined ? undefined : expect.stringContaining(fault));
  });

  it("sends the event as it came, with the facts as its context", async () => {
    const sent =
      '{"rule":"R","time":"t","output_fields":{"evt.time":1763689041886038257},"unknown":1.50,"context":"forged"}';
    const event = { ...eventOf(), sent: parseJson(sent) as FalcoEvent["sent"] };
    const { aws, invocations } = awsAnswering(answered);

    await run(aws, { event, facts: { "aws.region": "eu-west-1" } });

    expect(invocations[0]?.payload).toBe(
      '{"rule":"R","time":"t","output_fields":{"evt.time":1763689041886038257},"unknown":1.50,"context":{"aws.region":"eu-west-1"}}',
    );
  });

  it("says that the event was queued", async () => {
    const { aws, invocations } = awsAnswering({ statusCode: 202, functionError: undefined, payload: "" });

    const outcome = await run(aws, {
      parameters: { aws_lambda_invocation_type: "Event", aws_lambda_alias_or_version: "live" },
    });

    expect(invocations).toMatchObject([{ type: "Event", qualifier: "live" }]);
    expect(outcome).toMatchObject({ status: "success", summary: "event queued for function isolate" });
    expect(outcome).not.toHaveProperty("text");
  });

  it("says that the function could be invoked", async () => {
    const { aws } = awsAnswering({ statusCode: 204, functionError: undefined, payload: "" });

    const outcome = await run(aws, { parameters: { aws_lambda_invocation_type: "DryRun" } });

    expect(outcome).toMatchObject({ status: "success", summary: "function isolate can be invoked" });
  });

  it("fails where the function fails, with the start of what it said", async () => {
    const { aws } = awsAnswering({ statusCode: 200, functionError: "Unhandled", payload: "x".repeat(9_000) });

    const outcome = run(aws);

    await expect(outcome).rejects.toMatchObject({
      code: "internal",
      message: `function isolate failed (Unhandled): ${"x".repeat(500)}…`,
    });
  });

  it.each([
    ["Event", 1024 * 1024],
    ["RequestResponse", 6 * 1024 * 1024],
  ])("sends nothing where the event is larger than Lambda takes (%s)", async (type, limit) => {
    const { aws, invocations } = awsAnswering(answered);
    const event = eventOf({ fields: { "proc.cmdline": "é".repeat(limit / 2) } });

    const outcome = run(aws, { event, parameters: { aws_lambda_invocation_type: type } });

    await expect(outcome).rejects.toMatchObject({ code: "invalid" });
    expect(invocations).toEqual([]);
  });

  it("reaches a function by the real SDK", async () => {
    await using endpoint = await httpPeer((request, response) => response.end(request.body));
    const aws = createAws({
      region: "eu-west-1",
      accessKey: "AKIDEXAMPLE",
      secretKey: new Secret("secret"),
      endpoints: { lambda: endpoint.url },
    });
    const event = eventOf({ fields: { "evt.time": parseJson("1763689041886038257") } });

    const outcome = await run(aws, { event });
    await run(aws, { event, parameters: { aws_lambda_name: "isolate:live" } });

    expect(endpoint.requests.map(({ url }) => url)).toEqual([
      "/2015-03-31/functions/isolate/invocations?Qualifier=%24LATEST",
      "/2015-03-31/functions/isolate%3Alive/invocations",
    ]);
    expect(outcome).toHaveProperty("text", expect.stringContaining('"evt.time":1763689041886038257'));
  });
});
