import { defineActionner } from "../../src/catalogue/catalogue.ts";
import { ActionError } from "../../src/catalogue/errors.ts";
import { success } from "../../src/catalogue/outcome.ts";
import type { LambdaAnswer, LambdaInvocation } from "../../src/clients/aws/port.ts";
import { choice, text } from "../../src/schema/field.ts";

const types = ["RequestResponse", "Event", "DryRun"] as const;

const latest = "$LATEST";

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
    aws_lambda_name: text("The function's name, or its ARN; either may end in `:` and an alias or version", {
      required: true,
      minLength: 1,
    }),
    aws_lambda_alias_or_version: text("Which of its aliases or versions, where its name does not say", {
      default: latest,
      minLength: 1,
    }),
    aws_lambda_invocation_type: choice(
      "Wait for the function's answer (RequestResponse), queue the event (Event), or only ask whether it could be invoked (DryRun)",
      types,
      { default: "RequestResponse" },
    ),
  },
  check({ aws_lambda_name, aws_lambda_alias_or_version: given }) {
    const own = qualifierIn(aws_lambda_name);
    return own === undefined || given === own || given === latest
      ? undefined
      : `aws_lambda_name ends in ":${own}", and aws_lambda_alias_or_version is "${given}": give one of them`;
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
    const own = qualifierIn(params.aws_lambda_name);
    const invocation = {
      functionName: params.aws_lambda_name,
      qualifier: own === undefined ? params.aws_lambda_alias_or_version : undefined,
      type: params.aws_lambda_invocation_type,
      payload: JSON.stringify({ ...event.sent, context: facts }),
    };
    mustFit(invocation);

    const answer = await clients.aws.invokeLambda(invocation, signal);

    if (answer.functionError !== undefined) {
      throw functionError(invocation, answer);
    }
    return success(summaryOf(invocation, answer), {
      objects: { function: invocation.functionName, version: own ?? params.aws_lambda_alias_or_version },
      ...(answer.payload === "" ? {} : { text: answer.payload }),
    });
  },
});

/** The alias or version that a name (`isolate:live`) or an ARN, whole or from the account on, ends in. Lambda takes no second one. */
function qualifierIn(name: string): string | undefined {
  const parts = name.split(":");
  return parts[parts.indexOf("function") + 2];
}

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
