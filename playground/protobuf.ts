import { badRequest } from "./errors.ts";
import type { Json } from "./wire.ts";

/**
 * kubectl writes what `kubectl create` makes as protobuf. This reads the fields that its generators and access reviews
 * set, by the numbers of Kubernetes' published .proto files; fields not named here are dropped.
 */
type Field = readonly [name: string, type: FieldType];
type FieldType = "text" | "bytes" | "number" | "flag" | "texts" | "textMap" | "bytesMap" | Message | readonly [Message];

interface Message {
  readonly [number: number]: Field;
}

const metadata: Message = {
  1: ["name", "text"],
  2: ["generateName", "text"],
  3: ["namespace", "text"],
  11: ["labels", "textMap"],
  12: ["annotations", "textMap"],
};
const port: Message = { 1: ["name", "text"], 3: ["containerPort", "number"], 4: ["protocol", "text"] };
const container: Message = {
  1: ["name", "text"],
  2: ["image", "text"],
  3: ["command", "texts"],
  4: ["args", "texts"],
  6: ["ports", [port]],
};
const podSpec: Message = { 2: ["containers", [container]], 3: ["restartPolicy", "text"] };
const template: Message = { 1: ["metadata", metadata], 2: ["spec", podSpec] };
const selector: Message = { 1: ["matchLabels", "textMap"] };
const policyRule: Message = {
  1: ["verbs", "texts"],
  2: ["apiGroups", "texts"],
  3: ["resources", "texts"],
  4: ["resourceNames", "texts"],
  5: ["nonResourceURLs", "texts"],
};
const subject: Message = {
  1: ["kind", "text"],
  2: ["apiGroup", "text"],
  3: ["name", "text"],
  4: ["namespace", "text"],
};
const roleRef: Message = { 1: ["apiGroup", "text"], 2: ["kind", "text"], 3: ["name", "text"] };
const role: Message = { 1: ["metadata", metadata], 2: ["rules", [policyRule]] };
const binding: Message = { 1: ["metadata", metadata], 2: ["subjects", [subject]], 3: ["roleRef", roleRef] };
const resourceAttributes: Message = {
  1: ["namespace", "text"],
  2: ["verb", "text"],
  3: ["group", "text"],
  4: ["version", "text"],
  5: ["resource", "text"],
  6: ["subresource", "text"],
  7: ["name", "text"],
};

const kinds: Readonly<Record<string, Message>> = {
  ClusterRole: role,
  ClusterRoleBinding: binding,
  ConfigMap: { 1: ["metadata", metadata], 2: ["data", "textMap"], 3: ["binaryData", "bytesMap"] },
  Deployment: {
    1: ["metadata", metadata],
    2: ["spec", { 1: ["replicas", "number"], 2: ["selector", selector], 3: ["template", template] }],
  },
  Job: { 1: ["metadata", metadata], 2: ["spec", { 6: ["template", template] }] },
  Namespace: { 1: ["metadata", metadata] },
  Role: role,
  RoleBinding: binding,
  Secret: { 1: ["metadata", metadata], 2: ["data", "bytesMap"], 3: ["type", "text"] },
  SelfSubjectAccessReview: {
    2: [
      "spec",
      {
        1: ["resourceAttributes", resourceAttributes],
        2: ["nonResourceAttributes", { 1: ["path", "text"], 2: ["verb", "text"] }],
      },
    ],
  },
  ServiceAccount: { 1: ["metadata", metadata] },
};

const unknownMessage: Message = {
  1: ["typeMeta", { 1: ["apiVersion", "text"], 2: ["kind", "text"] }],
  2: ["raw", "bytes"],
};
const magic = Buffer.from("k8s\0");

/** The object in a protobuf body. Throws 400. */
export function parseProtobuf(body: Buffer): Json {
  if (!body.subarray(0, magic.length).equals(magic)) {
    throw badRequest("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  }
  const { typeMeta, raw } = readMessage(body.subarray(magic.length), unknownMessage) as {
    typeMeta: { apiVersion: string; kind: string };
    raw?: string;
  };
  const message = kinds[typeMeta.kind];
  if (message === undefined) {
    throw badRequest(`the playground reads no ${typeMeta.kind} from protobuf; send it as JSON`);
  }
  return { ...typeMeta, ...readMessage(Buffer.from(raw ?? "", "base64"), message) };
}

interface Wire {
  readonly number: number;
  readonly value: number | Buffer;
}

function readMessage(bytes: Buffer, message: Message): Record<string, Json> {
  const result: Record<string, Json> = {};
  for (const { number, value } of wiresOf(bytes)) {
    const field = message[number];
    if (field !== undefined) {
      const [name, type] = field;
      const read = readField(value, type, result[name]);
      if (read !== "") {
        result[name] = read;
      }
    }
  }
  return result;
}

function readField(value: number | Buffer, type: FieldType, before: Json | undefined): Json {
  if (typeof value === "number") {
    return type === "flag" ? value !== 0 : value;
  }
  switch (type) {
    case "text":
      return value.toString();
    case "bytes":
      return value.toString("base64");
    case "texts":
      return [...asList(before), value.toString()];
    case "textMap":
      return { ...asMap(before), ...entryOf(value, "text") };
    case "bytesMap":
      return { ...asMap(before), ...entryOf(value, "bytes") };
    case "number":
    case "flag":
      throw badRequest("a protobuf number came as bytes");
    default:
      return isRepeated(type) ? [...asList(before), readMessage(value, type[0])] : readMessage(value, type);
  }
}

function isRepeated(type: Message | readonly [Message]): type is readonly [Message] {
  return Array.isArray(type);
}

function entryOf(bytes: Buffer, type: "text" | "bytes"): Record<string, Json> {
  const { key = "", value = "" } = readMessage(bytes, { 1: ["key", "text"], 2: ["value", type] });
  return { [String(key)]: value };
}

function asList(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

function asMap(value: Json | undefined): object {
  return typeof value === "object" && value !== null ? value : {};
}

/** The fields as they lie on the wire: varints and length-delimited ones; fixed ones are skipped. */
function* wiresOf(bytes: Buffer): Iterable<Wire> {
  const reader = new Reader(bytes);
  while (!reader.done) {
    const tag = reader.varint();
    const number = tag >>> 3;
    const value = reader.value(tag & 7);
    if (value !== undefined) {
      yield { number, value };
    }
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  value(wireType: number): number | Buffer | undefined {
    switch (wireType) {
      case 0:
        return this.varint();
      case 1:
        this.#take(8);
        return undefined;
      case 2:
        return this.#take(this.varint());
      case 5:
        this.#take(4);
        return undefined;
      default:
        throw badRequest(`unknown protobuf wire type ${wireType}`);
    }
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const [byte = 0] = this.#take(1);
      value += (byte & 127) * factor;
      if (byte < 128) {
        return value;
      }
    }
  }

  #take(length: number): Buffer {
    const part = this.#bytes.subarray(this.#at, this.#at + length);
    if (part.length < length) {
      throw badRequest("unexpected EOF");
    }
    this.#at += length;
    return part;
  }
}
