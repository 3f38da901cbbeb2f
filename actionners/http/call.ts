import { createHmac } from "node:crypto";
import { type Call, defineActionner } from "../../src/catalogue/catalogue.ts";
import { success } from "../../src/catalogue/outcome.ts";
import {
  type HttpRequest,
  headerFault,
  lowerCased,
  refusalOf,
  secretsIn,
  secretsInHeaders,
} from "../../src/clients/http/port.ts";
import { withoutSecrets } from "../../src/clients/told.ts";
import { choice, fileNames, integer, text, textList, textMap } from "../../src/schema/field.ts";
import { binary, type Message, structured } from "./cloud-event.ts";
import { readMounted } from "./mounted-file.ts";

const formats = ["event", "cloudevents-structured", "cloudevents-binary"] as const;

/** The loopback, what is on the link, and where clouds answer machines about themselves. */
const deniedByDefault = [
  "127.0.0.0/8",
  "::1/128",
  "0.0.0.0/8",
  "::/128",
  "169.254.0.0/16",
  "fe80::/10",
  "fd00:ec2::/32",
  "fd20:ce::254/128",
  "fd00:42::42/128",
  "100.100.100.200/32",
  "168.63.129.16/32",
  "192.0.0.192/32",
];

/** To get ready, besides the time that the other side has. */
const preparationSeconds = 5;

const params = {
  url: text("Where to send it; without user and password, and better without any other secret: see `header_files`", {
    required: true,
    format: "uri",
    pattern: "^[Hh][Tt][Tt][Pp][Ss]?://",
  }),
  method: choice("Method of the request", ["POST", "PUT", "PATCH"], { default: "POST" }),
  format: choice(
    "The event as it was sent (`event`), or a CloudEvent 1.0: all of it in the body, or its attributes in headers",
    formats,
    { default: "event" },
  ),
  headers: textMap("More headers", { default: {} }),
  header_files: fileNames(
    textMap(
      "More headers whose values are secret: by header, the path of a file that holds the value, such as a mounted Secret's",
      { default: {} },
    ),
  ),
  hmac_key_file: fileNames(
    text("Path of a file that holds a key, as text: with it the body is signed by HMAC-SHA256", { pattern: "^/" }),
  ),
  hmac_header: text("Header of the signature, which reads `sha256=` and 64 hexadecimal digits", {
    default: "X-Hub-Signature-256",
    minLength: 1,
  }),
  expected_statuses: textList("Statuses that are a success: `200`, `2xx`", {
    default: ["2xx"],
    minItems: 1,
    items: { type: "string", pattern: "^[1-5](\\d\\d|xx)$" },
  }),
  timeout_seconds: integer("Time for the other side to answer", { default: 20, minimum: 1, maximum: 3600 }),
  ca_file: fileNames(
    text("Path of the certificates (PEM) to trust instead of the public authorities", { pattern: "^/" }),
  ),
  deny_cidr: textList(
    "IP ranges that it is not sent to, whatever name leads there; a list of one's own replaces this one",
    {
      default: deniedByDefault,
      items: { type: "string", format: "cidr" },
    },
  ),
};

type Params = Call<typeof params, "none">["params"];

export const call = defineActionner({
  id: "http:call",
  summary: "Call a function, a workflow or any other service by HTTP with the event",
  description: [
    "For Knative, OpenFaaS, Fission, Kubeless, Azure Functions, Argo Events, Tekton and whatever else listens: see the",
    "[guide](../functions.md). The body is the event as it was sent, every digit of its numbers included, with what the action's",
    "`additional_contexts` found under `context`; of a CloudEvent that is the data. Nothing of the event gets into the URL, and into",
    "headers only with `cloudevents-binary`: the time and the names of the Kubernetes object that it is about.",
    "",
    "Files are read at each call, so a renewed Secret is used at once. The signature covers the body, not the headers. Redirects",
    "are not followed. The ranges of `deny_cidr` hold for the address that is connected to, so no name, notation or changing DNS",
    "answer gets around them; by default they are loopback and link-local addresses, and those of the clouds' metadata",
    "services. To reach a sidecar on `localhost`, give a list without `127.0.0.0/8`.",
  ].join("\n"),
  target: "none",
  params,
  check,
  uses: ["http"],
  rbac: [],
  destructive: false,
  idempotent: false,
  continues: true,
  output: "none",
  undo: "What the service did, only the service can take back.",
  timeoutSeconds: ({ timeout_seconds: seconds }) => seconds + preparationSeconds,
  examples: [
    {
      title: "Call a Knative service with a CloudEvent",
      parameters: { url: "http://isolate.functions.svc.cluster.local", format: "cloudevents-binary" },
    },
    {
      title: "Queue the event for an OpenFaaS function",
      parameters: {
        url: "http://gateway.openfaas.svc.cluster.local:8080/async-function/isolate",
        expected_statuses: ["202"],
      },
    },
    {
      title: "Call a Fission function by its route",
      parameters: { url: "http://router.fission.svc.cluster.local/isolate" },
    },
    {
      title: "Call an Azure function with its key",
      parameters: {
        url: "https://shop-responders.azurewebsites.net/api/isolate",
        header_files: { "x-functions-key": "/etc/hallux/secrets/azure-function-key" },
        timeout_seconds: 60,
      },
    },
    {
      title: "Raise an Argo Events event",
      parameters: {
        url: "http://falco-eventsource-svc.argo-events.svc.cluster.local:12000/falco",
        header_files: { Authorization: "/etc/hallux/secrets/argo-events-authorization" },
      },
    },
    {
      title: "Start a Tekton pipeline with a signed event",
      parameters: {
        url: "http://el-falco.tekton.svc.cluster.local:8080",
        hmac_key_file: "/etc/hallux/secrets/tekton-webhook-key",
      },
    },
  ],

  async run({ event, params, facts, clients, dryRun, signal }) {
    const message = messageOf[params.format](event, { ...event.sent, context: facts });
    const request = await requestOf(message, params);
    const ends = AbortSignal.any([signal, AbortSignal.timeout(params.timeout_seconds * 1000)]);

    const answer = await clients.http.send(request, ends);

    // In a dry run nobody was asked.
    if (!dryRun && !params.expected_statuses.some((expected) => covers(expected, answer.status))) {
      throw refusalOf(request, answer);
    }
    const { origin } = request.url;
    const text = withoutSecrets(answer.body, request.secrets ?? []);
    return success(`${origin} called`, {
      objects: { service: origin, ...(dryRun ? {} : { status: String(answer.status) }) },
      ...(text === "" ? {} : { text }),
    });
  },
});

const messageOf: Readonly<Record<(typeof formats)[number], typeof structured>> = {
  event: (_event, data) => ({ headers: { "content-type": "application/json" }, body: JSON.stringify(data) }),
  "cloudevents-structured": structured,
  "cloudevents-binary": binary,
};

function check(params: Params): string | undefined {
  const { url, header_files: files } = params;
  const { username, password } = new URL(url);
  if (username !== "" || password !== "") {
    return "url holds a user or a password: put the Authorization header into a file, and name it in header_files";
  }
  const relative = Object.values(files).find((path) => !path.startsWith("/"));
  if (relative !== undefined) {
    return `header_files: ${relative} is not an absolute path`;
  }
  return headersFault(params);
}

/** What files hold is not known before the call. */
function headersFault({ headers, header_files: files, hmac_key_file: key, hmac_header: signature }: Params) {
  const secrets = [...Object.keys(files), ...(key === undefined ? [] : [signature])];
  const given = [...Object.entries(headers), ...secrets.map((name) => [name, ""] as const)];
  const names = given.map(([name]) => name.toLowerCase());
  const twice = names.find((name, index) => names.indexOf(name) < index);
  return twice === undefined
    ? given.map(([name, value]) => headerFault(name, value)).find((fault) => fault !== undefined)
    : `the header ${twice} is given twice`;
}

async function requestOf(message: Message, params: Params): Promise<HttpRequest> {
  const url = new URL(params.url);
  const secretHeaders = await readAll(params.header_files);
  const signature = params.hmac_key_file && signatureOf(message.body, await readMounted(params.hmac_key_file));
  return {
    url,
    method: params.method,
    headers: {
      "user-agent": "hallux",
      ...message.headers,
      ...lowerCased(params.headers),
      ...lowerCased(secretHeaders),
      ...(signature && { [params.hmac_header.toLowerCase()]: signature }),
    },
    body: message.body,
    ca: params.ca_file && (await readMounted(params.ca_file)),
    secrets: [...secretsInQuery(url), ...secretsInHeaders(secretHeaders)],
    denied: params.deny_cidr,
  };
}

/** Keys of functions stand there (`?code=…`). The path is no secret: a function's name is part of what it says. */
function secretsInQuery({ origin, search }: URL): readonly string[] {
  return search === "" ? [] : secretsIn(new URL(search, origin));
}

async function readAll(files: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const values = Object.entries(files).map(async ([name, path]) => [name, await readMounted(path)] as const);
  return Object.fromEntries(await Promise.all(values));
}

function signatureOf(body: string, key: string): string {
  return `sha256=${createHmac("sha256", key).update(body).digest("hex")}`;
}

function covers(expected: string, status: number): boolean {
  return expected.endsWith("xx") ? expected.startsWith(String(status).charAt(0)) : expected === String(status);
}
