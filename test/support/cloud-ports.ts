import type { Clients } from "../../src/clients/clients.ts";
import type { NewObject } from "../../src/clients/object-store.ts";

export type CloudClients = Omit<Clients, "kubernetes">;

/** A call of a port's method: `gcp.callFunction`. */
export interface PortCall {
  readonly port: keyof CloudClients;
  readonly method: string;
  readonly subject: unknown;
  readonly signal: AbortSignal;
}

/** The outside world but Kubernetes, at our own boundary: everything that is asked of it goes well, and `calls` says what was. */
export function cloudPorts(): { readonly clients: CloudClients; readonly calls: readonly PortCall[] } {
  const calls: PortCall[] = [];
  const note = (port: keyof CloudClients, method: string, subject: unknown, signal: AbortSignal) =>
    void calls.push({ port, method, subject, signal });
  const storeOf = (port: "aws" | "gcp" | "minio") => ({
    async putObject(object: NewObject, signal: AbortSignal) {
      const bytes = Buffer.concat(await Array.fromAsync(object.body));
      note(port, "putObject", { ...object, bytes }, signal);
      return { location: `${port}://${object.bucket}/${object.key}` };
    },
    async findBucket(place: unknown, signal: AbortSignal) {
      note(port, "findBucket", place, signal);
    },
  });
  const clients: CloudClients = {
    aws: {
      ...storeOf("aws"),
      async invokeLambda(invocation, signal) {
        note("aws", "invokeLambda", invocation, signal);
        return { statusCode: 200, functionError: undefined, payload: '"done"' };
      },
      async instanceMetadata(path, signal) {
        note("aws", "instanceMetadata", path, signal);
        return path.endsWith("info") ? "{}" : "eu-west-1";
      },
    },
    gcp: {
      ...storeOf("gcp"),
      async callFunction(call, signal) {
        note("gcp", "callFunction", call, signal);
        return { status: 200, body: "done" };
      },
    },
    minio: storeOf("minio"),
    http: {
      async send(request, signal) {
        note("http", "send", request, signal);
        return { status: 202, header: () => undefined, body: "done" };
      },
    },
    mail: {
      async send(mail, _server, signal) {
        note("mail", "send", mail, signal);
      },
    },
  };
  return { clients, calls };
}
