import { type Span, spanErrorOf } from "./traces.ts";

/** The same clients: each of their calls is a step in the span, `kubernetes.patchPod`. The arguments are not told. */
export function tracedClients<C extends object>(clients: C, span: Span | undefined): C {
  if (span === undefined) {
    return clients;
  }
  const traced = Object.entries(clients).map(([name, client]) => [name, tracedClient(name, client, span)] as const);
  // Each proxy has the type of the client behind it.
  return Object.fromEntries(traced) as C;
}

function tracedClient<T extends object>(name: string, client: T, span: Span): T {
  return new Proxy(client, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key);
      return typeof member === "function" && typeof key === "string"
        ? (...given: unknown[]) => tracedCall(`${name}.${key}`, span, () => Reflect.apply(member, target, given))
        : member;
    },
  });
}

function tracedCall(name: string, span: Span, call: () => unknown): unknown {
  const step = span.begin(name, { client: true, attributes: { "peer.service": name.slice(0, name.indexOf(".")) } });
  const failed = (error: unknown) => step.end({ error: spanErrorOf(error) });
  try {
    const result = call();
    endingOf(result).then(
      (answer) => step.end({ attributes: { "http.response.status_code": statusIn(answer) } }),
      failed,
    );
    return result;
  } catch (error) {
    failed(error);
    throw error;
  }
}

/** Of what flows after the call, as of `execStream`, the end is its `ended`. */
function endingOf(result: unknown): Promise<unknown> {
  const later = fieldOf(result, "ended");
  return Promise.resolve(later instanceof Promise ? later : result);
}

/** Of services that speak HTTP: any answer of theirs is a success of the call. */
function statusIn(answer: unknown): number | undefined {
  const status = fieldOf(answer, "status");
  return typeof status === "number" ? status : undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
