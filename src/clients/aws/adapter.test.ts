import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { nobodysUrl } from "../../../test/support/free-ports.ts";
import { hang, httpPeer, type SeenRequest } from "../../../test/support/http-peer.ts";
import { ActionError } from "../../catalogue/errors.ts";
import { Secret } from "../../schema/secret.ts";
import { createAws, dryRunAws } from "./adapter.ts";
import type { LambdaInvocation } from "./port.ts";
import type { AwsSettings } from "./settings.ts";

const invocation: LambdaInvocation = {
  functionName: "isolate",
  qualifier: "live",
  type: "RequestResponse",
  payload: '{"time":1763689041886038257}',
};
const never = new AbortController().signal;
const soon = { timeout: 20_000 };

beforeEach(() => {
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent");
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
});
afterEach(() => {
  vi.unstubAllEnvs();
});

function withKeys(endpoints: AwsSettings["endpoints"], more: AwsSettings = {}): AwsSettings {
  return {
    region: "eu-west-1",
    accessKey: "AKIDEXAMPLE",
    secretKey: new Secret("very secret"),
    ...more,
    endpoints: { metadata: "http://127.0.0.1:9", ...endpoints },
  };
}

function answering(status: number, body = "", headers: Record<string, string> = {}) {
  return (_request: SeenRequest, response: ServerResponse) => {
    response.writeHead(status, headers).end(body);
  };
}

function refusing(status: number, name: string, headers: Record<string, string> = {}) {
  return answering(status, JSON.stringify({ message: "the reason" }), { "x-amzn-errortype": name, ...headers });
}

type Answer = (request: SeenRequest, response: ServerResponse, deadline: AbortController) => void;

/** The deadline of the call passes once the call is there, and nothing is answered. */
const late: Answer = (_request, _response, deadline) => deadline.abort(new DOMException("", "TimeoutError"));

const stsAnswer = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIATEMPORARY</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token-of-the-role</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`;

async function failureOf(promise: Promise<unknown>): Promise<ActionError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ActionError)) {
    throw new Error(`not an ActionError: ${String(error)}`);
  }
  return error;
}

describe("invoking a Lambda", () => {
  it("sends the payload as it is, signed, to the function's alias", async () => {
    await using lambda = await httpPeer(answering(200, '"isolated"'));
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const answer = await aws.invokeLambda(invocation, never);

    expect(answer).toEqual({ statusCode: 200, functionError: undefined, payload: '"isolated"' });
    const [request] = lambda.requests;
    expect(request).toMatchObject({ method: "POST", body: '{"time":1763689041886038257}' });
    expect(request?.url).toBe("/2015-03-31/functions/isolate/invocations?Qualifier=live");
    expect(request?.headers["x-amz-invocation-type"]).toBe("RequestResponse");
    expect(request?.headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-west-1\/lambda\//,
    );
  });

  it("uses what the SDK's own chain finds where no keys are configured", async () => {
    await using lambda = await httpPeer(answering(202));
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    vi.stubEnv("AWS_REGION", "us-east-2");
    const aws = createAws({ endpoints: { lambda: lambda.url } });

    const answer = await aws.invokeLambda({ ...invocation, type: "Event" }, never);

    expect(answer.statusCode).toBe(202);
    expect(lambda.requests[0]?.headers.authorization).toContain("AKIDENVIRONMENT/");
    expect(lambda.requests[0]?.headers.authorization).toContain("/us-east-2/lambda/");
  });

  it("keeps the start of a long answer, and no broken character at its end", async () => {
    await using lambda = await httpPeer(answering(200, "é".repeat(20_000).replace("é", "x")));
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const { payload } = await aws.invokeLambda(invocation, never);

    expect(payload).toBe(`x${"é".repeat(8191)}`);
  });

  it("says that the function itself failed", async () => {
    await using lambda = await httpPeer(
      answering(200, '{"errorMessage":"boom"}', { "x-amz-function-error": "Unhandled" }),
    );
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const answer = await aws.invokeLambda(invocation, never);

    expect(answer).toEqual({ statusCode: 200, functionError: "Unhandled", payload: '{"errorMessage":"boom"}' });
  });

  it("asks Lambda not to run the function in a dry run", async () => {
    await using lambda = await httpPeer(answering(204));
    const aws = dryRunAws(createAws(withKeys({ lambda: lambda.url })));

    const answer = await aws.invokeLambda(invocation, never);

    expect(answer.statusCode).toBe(204);
    expect(lambda.requests[0]?.headers["x-amz-invocation-type"]).toBe("DryRun");
  });
});

describe("a role", () => {
  it("is assumed with the external id, and its credentials sign the call", async () => {
    await using sts = await httpPeer(answering(200, stsAnswer, { "content-type": "text/xml" }));
    await using lambda = await httpPeer(answering(200));
    const role = { roleArn: "arn:aws:iam::1:role/responder", externalId: new Secret("shared id") };
    const aws = createAws(withKeys({ lambda: lambda.url, sts: sts.url }, role));

    await aws.invokeLambda(invocation, never);
    await aws.invokeLambda(invocation, never);

    expect(sts.requests).toHaveLength(1);
    expect(sts.requests[0]?.headers.authorization).toContain("AKIDEXAMPLE/");
    expect(Object.fromEntries(new URLSearchParams(sts.requests[0]?.body))).toMatchObject({
      Action: "AssumeRole",
      RoleArn: "arn:aws:iam::1:role/responder",
      RoleSessionName: "hallux",
      ExternalId: "shared id",
    });
    expect(lambda.requests[0]?.headers.authorization).toContain("ASIATEMPORARY/");
    expect(lambda.requests[0]?.headers["x-amz-security-token"]).toBe("token-of-the-role");
  });

  it("that may not be assumed is named, not the function", async () => {
    const denial = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no trust</Message></Error></ErrorResponse>";
    await using sts = await httpPeer(answering(403, denial, { "content-type": "text/xml" }));
    await using lambda = await httpPeer(answering(200));
    const aws = createAws(withKeys({ lambda: lambda.url, sts: sts.url }, { roleArn: "arn:aws:iam::1:role/x" }));

    const error = await failureOf(aws.invokeLambda(invocation, never));

    expect(error.code).toBe("forbidden");
    expect(error.message).toBe(
      "missing permission sts:AssumeRole on role arn:aws:iam::1:role/x, or its external id differs: no trust",
    );
    expect(lambda.requests).toHaveLength(0);
  });

  it("whose service once did not answer is asked again by later calls", async () => {
    let asked = 0;
    await using sts = await httpPeer((_request, response) => {
      asked += 1;
      if (asked > 1) {
        response.writeHead(200, { "content-type": "text/xml" }).end(stsAnswer);
      }
    });
    await using lambda = await httpPeer(answering(200));
    const role = { roleArn: "arn:aws:iam::1:role/x", credentialsTimeoutMs: 200 };
    const aws = createAws(withKeys({ lambda: lambda.url, sts: sts.url }, role));

    const error = await failureOf(aws.invokeLambda(invocation, never));
    const answer = await vi.waitFor(() => aws.invokeLambda(invocation, never), soon);

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
    expect(answer.statusCode).toBe(200);
  });

  it("whose service hangs does not outlive the deadline", async () => {
    await using sts = await httpPeer(hang);
    const aws = createAws(withKeys({ sts: sts.url }, { roleArn: "arn:aws:iam::1:role/x" }));

    const error = await failureOf(aws.invokeLambda(invocation, AbortSignal.timeout(200)));

    expect(error).toMatchObject({ code: "timeout", notBegun: true });
  });
});

describe("an error of AWS", () => {
  it.each([
    [
      403,
      "AccessDeniedException",
      "forbidden",
      "missing permission lambda:InvokeFunction on function isolate: the reason",
    ],
    [403, "UnrecognizedClientException", "forbidden", "function isolate: UnrecognizedClientException: the reason"],
    [404, "ResourceNotFoundException", "not_found", "function isolate: ResourceNotFoundException: the reason"],
    [409, "ResourceConflictException", "conflict", "function isolate: ResourceConflictException: the reason"],
    [400, "InvalidParameterValueException", "invalid", "function isolate: InvalidParameterValueException: the reason"],
    [413, "RequestTooLargeException", "invalid", "function isolate: RequestTooLargeException: the reason"],
    [400, "ThrottlingException", "throttled", "function isolate: ThrottlingException: the reason"],
    [500, "ServiceException", "unavailable", "function isolate: ServiceException: the reason"],
  ])("%i %s is %s", async (status, name, code, message) => {
    await using lambda = await httpPeer(refusing(status, name));
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const error = await failureOf(aws.invokeLambda(invocation, never));

    expect(error.code).toBe(code);
    expect(error.message).toBe(message);
    expect(lambda.requests).toHaveLength(1);
  });

  it("says how long to wait when it throttles, and the SDK does not try again", async () => {
    await using lambda = await httpPeer(refusing(429, "TooManyRequestsException", { "retry-after": "3" }));
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const error = await failureOf(aws.invokeLambda(invocation, never));

    expect(error).toMatchObject({ code: "throttled", retryAfterMs: 3000 });
    expect(lambda.requests).toHaveLength(1);
  });

  it("that is no AWS answer at all is unavailable", async () => {
    await using lambda = await httpPeer(answering(502, "<html>bad gateway</html>"));
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const error = await failureOf(aws.invokeLambda(invocation, never));

    expect(error.code).toBe("unavailable");
    expect(error.message).toBe(
      "function isolate: the answer, of status 502, is not in AWS's form: does something stand in between?",
    );
  });
});

describe("when AWS cannot be called", () => {
  it("a port that nobody listens on is unavailable", async () => {
    const gone = { url: await nobodysUrl() };
    const aws = createAws(withKeys({ lambda: gone.url }));

    const error = await failureOf(aws.invokeLambda(invocation, never));

    expect(error.code).toBe("unavailable");
  });

  it("it is certain that nothing was begun where nobody listens, AWS throttles or credentials are missing", async () => {
    const gone = { url: await nobodysUrl() };
    await using throttling = await httpPeer(refusing(429, "TooManyRequestsException"));
    const denial = "<ErrorResponse><Error><Code>InternalFailure</Code><Message>oops</Message></Error></ErrorResponse>";
    await using sts = await httpPeer(answering(500, denial, { "content-type": "text/xml" }));
    const clients = [
      createAws(withKeys({ lambda: gone.url })),
      createAws(withKeys({ lambda: throttling.url })),
      createAws(withKeys({ lambda: throttling.url, sts: sts.url }, { roleArn: "arn:aws:iam::1:role/x" })),
      createAws({ region: "eu-west-1", endpoints: { lambda: throttling.url } }),
    ];

    const errors = await Promise.all(clients.map((aws) => failureOf(aws.invokeLambda(invocation, never))));

    expect(errors.map(({ notBegun }) => notBegun)).toEqual([true, true, true, true]);
  });

  it("it is certain that nothing was begun where TLS fails", async () => {
    await using plain = await httpPeer(answering(200));
    const aws = createAws(withKeys({ lambda: plain.url.replace("http:", "https:") }));

    const error = await failureOf(aws.invokeLambda(invocation, never));

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
  });

  it.each<[string, Answer]>([
    ["the connection is reset after the request", (_request, response) => response.socket?.resetAndDestroy()],
    ["there is no answer in time", late],
    ["Lambda fails", refusing(500, "ServiceException")],
  ])("the function may have been called where %s", async (_what, answer) => {
    const deadline = new AbortController();
    await using lambda = await httpPeer((...request) => answer(...request, deadline));
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const error = await failureOf(aws.invokeLambda(invocation, deadline.signal));

    expect(error.notBegun).toBe(false);
    expect(lambda.requests).toHaveLength(1);
  });

  it("missing credentials are told with what to configure", async () => {
    const aws = createAws({ region: "eu-west-1", endpoints: { lambda: "http://127.0.0.1:9" } });

    const error = await failureOf(aws.invokeLambda(invocation, never));

    expect(error.code).toBe("forbidden");
    expect(error.message).toMatch(/^no AWS credentials: set aws.access_key and aws.secret_key, or give Hallux a role/);
  });

  it("a missing region is told with what to configure", async () => {
    const aws = createAws(withKeys({}, { region: undefined, metadataDisabled: true }));

    const error = await failureOf(aws.invokeLambda(invocation, never));

    expect(error.code).toBe("invalid");
    expect(error.message).toBe("no AWS region: set aws.region, or AWS_REGION in the environment");
  });

  it("the region is the instance's where nothing else says it", async () => {
    await using lambda = await httpPeer(answering(200));
    await using metadata = await httpPeer(answering(200, "ap-southeast-2"));
    const settings = withKeys({ lambda: lambda.url, metadata: metadata.url }, { region: undefined });

    // The metadata service has a second to answer.
    await vi.waitFor(() => createAws(settings).invokeLambda(invocation, never), soon);

    expect(lambda.requests[0]?.headers.authorization).toContain("/ap-southeast-2/lambda/");
  });

  it("a deadline ends the call and closes the connection", async () => {
    let closed: (value: string) => void = hang;
    const closing = new Promise<string>((resolve) => {
      closed = resolve;
    });
    const deadline = new AbortController();
    await using lambda = await httpPeer((request, response) => {
      response.on("close", () => closed("closed"));
      late(request, response, deadline);
    });
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const error = await failureOf(aws.invokeLambda(invocation, deadline.signal));

    expect(error.code).toBe("timeout");
    expect(error.message).toBe("the call of function isolate took too long");
    await expect(closing).resolves.toBe("closed");
  });

  it("a call cancelled before it began sends nothing", async () => {
    await using lambda = await httpPeer(answering(200));
    const aws = createAws(withKeys({ lambda: lambda.url }));

    const error = await failureOf(aws.invokeLambda(invocation, AbortSignal.abort()));

    expect(error.code).toBe("cancelled");
    expect(lambda.requests).toHaveLength(0);
  });
});

describe("Lambda in a region that fails again and again", () => {
  /** Calls it six times. */
  async function call(answer: Answer, traits: Partial<LambdaInvocation> = {}) {
    let deadline = new AbortController();
    await using lambda = await httpPeer((...request) => answer(...request, deadline));
    const aws = createAws(withKeys({ lambda: lambda.url }));
    const errors: ActionError[] = [];
    for (let made = 0; made < 6; made++) {
      deadline = new AbortController();
      errors.push(await failureOf(aws.invokeLambda({ ...invocation, ...traits }, deadline.signal)));
    }
    return { requests: lambda.requests, errors };
  }

  it.each<[string, Answer, Partial<LambdaInvocation>]>([
    ["breaks connections", (_request, response) => response.socket?.resetAndDestroy(), {}],
    ["answers 503", refusing(503, "ServiceUnavailableException"), {}],
    ["takes no event in time", late, { type: "Event" }],
  ])("is not called for a while: it %s", async (_how, answer, traits) => {
    const { requests, errors } = await call(answer, traits);

    expect(requests).toHaveLength(5);
    expect(errors[4]).toMatchObject({ notBegun: false });
    expect(errors[5]).toMatchObject({
      code: "unavailable",
      notBegun: true,
      message: expect.stringMatching(/^AWS Lambda in eu-west-1 is not asked before/),
    });
  });

  it.each<[string, Answer]>([
    ["the function takes too long", late],
    ["the function's settings are wrong", refusing(502, "InvalidRuntimeException")],
    ["there are no permissions", refusing(403, "AccessDeniedException")],
  ])("is still called where %s", async (_what, answer) => {
    const { requests } = await call(answer);

    expect(requests).toHaveLength(6);
  });
});
