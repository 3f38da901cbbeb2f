import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { success } from "../../src/catalogue/outcome.ts";
import type { LambdaAnswer, LambdaInvocation } from "../../src/clients/aws/port.ts";
import { choice, text } from "../../src/schema/field.ts";

const types = ["RequestResponse", "Event", "DryRun"] as const;

const maxPayloadBytes: Readonly<Record<LambdaInvocation["type"], number>> = {
  RequestResponse: 6 * 1024 * 1024,
  Event: 1024 * 1024,
  DryRun: 6 * 1024 * 1024,
};

const maxErrorLength = 500;

export const lambda = defineActionner({
  id: "aws:lambda",
  summary: "Invoke an AWS Lambda function with the event",
  description: [
    "The function receives the event as it was sent, every digit of its numbers included, and under `context` what the",
    "action's `additional_contexts` found. Hallux needs `lambda:InvokeFunction` on the function.",
  ].join("\n"),
  target: "none",
  params: {
    aws_lambda_name: text("The function's name, or its ARN", { required: true, minLength: 1 }),
    aws_lambda_alias_or_version: text("Which of its aliases or versions", { default: "$LATEST", minLength: 1 }),
    aws_lambda_invocation_type: choice(
      "Wait for the function's answer (RequestResponse), queue the event (Event), or only ask whether it could be invoked (DryRun)",
      types,
      { default: "RequestResponse" },
    ),
  },
  uses: ["aws"],
  rbac: [],
  destructive: false,
  idempotent: false,
  continues: true,
  output: "none",
  undo: "What the function did, only the function can take back.",
  examples: [
    { title: "Call a function and wait for its answer", parameters: { aws_lambda_name: "isolate-instance" } },
    {
      title: "Queue the event for the live version",
      parameters: {
        aws_lambda_name: "collect-evidence",
        aws_lambda_alias_or_version: "live",
        aws_lambda_invocation_type: "Event",
      },
    },
  ],

  async run({ event, params, facts, clients, signal }) {
    const invocation = {
      functionName: params.aws_lambda_name,
      qualifier: params.aws_lambda_alias_or_version,
      type: params.aws_lambda_invocation_type,
      payload: JSON.stringify({ ...event.sent, context: facts }),
    };
    mustFit(invocation);

    const answer = await clients.aws.invokeLambda(invocation, signal);

    if (answer.functionError !== undefined) {
      throw functionError(invocation, answer);
    }
    return success(summaryOf(invocation, answer), {
      objects: { function: invocation.functionName, version: invocation.qualifier },
      ...(answer.payload === "" ? {} : { text: answer.payload }),
    });
  },
});

function mustFit({ payload, type }: LambdaInvocation): void {
  const bytes = Buffer.byteLength(payload);
  if (bytes > maxPayloadBytes[type]) {
    throw new ActionError("invalid", `the event has ${bytes} bytes, Lambda takes ${maxPayloadBytes[type]} (${type})`);
  }
}

function functionError(
  { functionName }: LambdaInvocation,
  { functionError: kind, payload }: LambdaAnswer,
): ActionError {
  const start = payload.length > maxErrorLength ? `${payload.slice(0, maxErrorLength)}…` : payload;
  return new ActionError("internal", `function ${functionName} failed (${kind}): ${start}`);
}

function summaryOf({ functionName }: LambdaInvocation, { statusCode }: LambdaAnswer): string {
  switch (statusCode) {
    case 202:
      return `event queued for function ${functionName}`;
    case 204:
      return `function ${functionName} can be invoked`;
    default:
      return `function ${functionName} invoked`;
  }
}
