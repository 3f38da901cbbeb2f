import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { cloudFunction } from "../../actionners/gcp/function.ts";
import type { Result } from "../../src/catalogue/outcome.ts";
import { createGcp } from "../../src/clients/gcp/adapter.ts";
import { createHttp } from "../../src/clients/http/adapter.ts";
import { parseJson } from "../../src/events/json.ts";
import { compileFields } from "../../src/schema/read.ts";
import { eventOf } from "../support/events.ts";
import { answering, type Google, google } from "../support/google.ts";
import { nobodysUrl } from "../support/free-ports.ts";
import { hang } from "../support/http-peer.ts";
import { failureOf, runAlone } from "../support/run-alone.ts";
import { type Workplace, workplace } from "../support/workplace.ts";

const resource = "projects/shop/locations/us-central1/functions/isolate";

let files: Workplace;
let peer: Google;

beforeEach(async () => {
  files = workplace({ "subject-token": "of-this-workload" });
  peer = await google();
  vi.stubEnv("GCE_METADATA_HOST", peer.url);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  files[Symbol.dispose]();
  await peer[Symbol.asyncDispose]();
});

interface Traits {
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

type Run = (traits?: Traits) => Promise<Result>;

const event = eventOf({ pod: "shop/cart-1", fields: { "evt.time": parseJson("1763689041886038257") } });

/** Runs the actionner with the clients of one Hallux. */
function hallux(credentialsPath?: string, { dryRun = false } = {}): Run {
  const endpoints = { functions: peer.url, token: `${peer.url}/token` };
  const gcp = createGcp({ credentialsPath, endpoints }, createHttp().real)[dryRun ? "dryRun" : "real"];
  return ({ parameters = {}, signal = AbortSignal.timeout(60_000) } = {}) =>
    runAlone(cloudFunction, {
      event,
      params: { gcp_function_name: "isolate", ...parameters },
      facts: { "node.hostname": "n1" },
      clients: { gcp },
      dryRun,
      signal,
    });
}

function withKey(traits: Parameters<Google["keyFile"]>[1] = {}, options?: { dryRun: boolean }): Run {
  return hallux(peer.keyFile(files.path("key.json"), traits), options);
}

describe("gcp:function", () => {
  it("calls the function with the event as it came, and the facts as its context", async () => {
    const run = withKey();

    const outcome = await run();

    expect(outcome).toEqual({
      status: "success",
      summary: "function isolate called",
      objects: { function: "isolate", location: "us-central1", status: "200" },
      text: '{"isolated":true}',
    });
    const [call] = peer.to("/run/isolate");
    expect(call).toMatchObject({ method: "POST", headers: { "content-type": "application/json" } });
    expect(call?.body).toBe(JSON.stringify({ ...event.sent, context: { "node.hostname": "n1" } }));
    expect(call?.body).toContain('"evt.time":1763689041886038257');
  });

  it.each<[string, () => string | undefined]>([
    ["a service account's key", () => peer.keyFile(files.path("key.json"))],
    [
      "workload identity federation",
      () => peer.federationFile(files.path("federation.json"), files.path("subject-token")),
    ],
    ["the metadata server", () => undefined],
  ])("says who it is by an ID token from %s", async (_source, credentialsPath) => {
    const run = hallux(credentialsPath());

    const outcome = await run();

    expect(outcome).toMatchObject({ status: "success", text: '{"isolated":true}' });
  });

  it("finds a function of the first generation that only the first version of the API knows", async () => {
    const run = withKey();

    const outcome = await run({ parameters: { gcp_function_name: "older" } });

    expect(outcome).toMatchObject({ status: "success", objects: { function: "older" } });
    expect(peer.to("/run/older")).toHaveLength(1);
  });

  it("calls a function of another project than that of its credentials by its whole name", async () => {
    const run = withKey({ project: "elsewhere" });

    const outcome = await run({ parameters: { gcp_function_name: resource } });

    expect(outcome).toMatchObject({ status: "success", objects: { function: resource, status: "200" } });
  });

  it("keeps the start of a long answer", async () => {
    peer.overrides["/run/"] = answering(200, "é".repeat(1_000_000));
    const run = withKey();

    const outcome = await run();

    expect(outcome).toMatchObject({ text: "é".repeat(8192) });
  });

  it.each(["", "../secrets", "a/b", "projects/p/locations/l/functions/../../x", "isolate?x=y", "isolate%2f"])(
    "does not load the function name %j",
    (name) => {
      const { values } = compileFields(cloudFunction.params).read({ gcp_function_name: name });

      expect(values).toBeUndefined();
    },
  );

  it("takes gcp_function_timeout for seconds, besides the time to get ready", () => {
    const secondsWith = (seconds: number) =>
      cloudFunction.timeoutSeconds?.({
        gcp_function_name: "f",
        gcp_function_location: "l",
        gcp_function_timeout: seconds,
      });

    expect([secondsWith(0), secondsWith(60)]).toEqual([0, 75]);
  });
});

describe("the ID token", () => {
  it("is kept for the calls that follow, and so is where the function is", async () => {
    const run = withKey();

    await run();
    await run();

    expect(peer.to("/run/")).toHaveLength(2);
    expect(peer.to("/token")).toHaveLength(2);
    expect(peer.to("/v2/")).toHaveLength(1);
  });

  it("is kept, and so is the project, where the metadata server gave them", async () => {
    const run = hallux();

    await run();
    await run();

    expect(peer.to("/run/")).toHaveLength(2);
    expect(peer.to("/computeMetadata/")).toHaveLength(3);
  });

  it("is renewed before it expires", async () => {
    peer.idTokenSeconds = 290;
    const run = withKey();

    await run();
    await run();

    const [first, second] = peer.to("/run/").map(({ headers }) => headers.authorization);
    expect(second).not.toBe(first);
  });

  it("is renewed after the function refused it", async () => {
    const run = withKey();
    await run();
    peer.revoke();

    const error = await failureOf(run());
    const outcome = await run();

    expect(error).toMatchObject({
      code: "forbidden",
      notBegun: true,
      message: `function ${resource}: it does not take Hallux's ID token: ${peer.url} answered 401: Unauthorized`,
    });
    expect(outcome).toMatchObject({ status: "success" });
  });

  it("is asked for again with the key that replaced a wrong one", async () => {
    const run = withKey({ wrongKey: true });

    const error = await failureOf(run());
    peer.keyFile(files.path("key.json"));
    const outcome = await run();

    expect(error).toMatchObject({ code: "forbidden", notBegun: true });
    expect(error.message).toBe(
      `no Google Cloud credentials from ${files.path("key.json")}: invalid_grant: Invalid JWT Signature.`,
    );
    expect(peer.to("/token")).toHaveLength(3);
    expect(outcome).toMatchObject({ status: "success" });
  });

  it("is not to be had by a federation that stands for no service account", async () => {
    const path = peer.federationFile(files.path("f.json"), files.path("subject-token"), { impersonation: false });

    const error = await failureOf(hallux(path)());

    expect(error).toMatchObject({ code: "invalid", notBegun: true });
    expect(error.message).toContain("lacks service_account_impersonation_url");
    expect(peer.to("/run/")).toEqual([]);
  });

  it("is refused to a workload whose own token is not accepted", async () => {
    writeFileSync(files.path("stranger"), "of-another-workload");
    const path = peer.federationFile(files.path("f.json"), files.path("stranger"));

    const error = await failureOf(hallux(path)());

    expect(error).toMatchObject({ code: "forbidden", notBegun: true });
    expect(error.message).toContain("The subject token is not accepted.");
  });
});

describe("credentials that cannot be had", () => {
  it.each([
    ["nothing", undefined, "it cannot be read (ENOENT)"],
    ["no JSON", "-----BEGIN PRIVATE KEY-----", "it is not JSON"],
    ["null", "null", "it is not JSON"],
    ["another type", '{"type":"authorized_user"}', "its type is neither service_account nor external_account"],
    ["no key", '{"type":"service_account","client_email":"a@b"}', "it lacks private_key"],
    ["a broken key", '{"type":"service_account","client_email":"a@b","private_key":"s3cr3t"}', "no key in PEM form"],
  ])("because the file holds %s are told without a word of what it holds", async (_what, content, why) => {
    const path = files.path("credentials.json");
    if (content !== undefined) {
      writeFileSync(path, content);
    }

    const error = await failureOf(hallux(path)());

    expect(error).toMatchObject({ code: "invalid", notBegun: true });
    expect(error.message).toContain(path);
    expect(error.message).toContain(why);
    expect(error.message).not.toMatch(/s3cr3t|BEGIN/);
  });

  it("because there is no metadata server are told with what to set", async () => {
    const gone = { url: await nobodysUrl() };
    vi.stubEnv("GCE_METADATA_HOST", gone.url);

    const error = await failureOf(hallux()());

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
    expect(error.message).toMatch(
      /^no Google Cloud credentials from the metadata server \(set gcp.credentials_path where there is none\)/,
    );
  });

  it("because the token service hangs end with the deadline, and are asked for anew", async () => {
    peer.overrides["/token"] = hang;
    const run = withKey();

    const error = await failureOf(run({ signal: AbortSignal.timeout(300) }));
    delete peer.overrides["/token"];
    const outcome = await run();

    expect(error).toMatchObject({ code: "timeout", notBegun: true });
    expect(outcome).toMatchObject({ status: "success" });
  });

  it("because something else answers for the token service tell the start of its words", async () => {
    peer.overrides["/token"] = answering(502, `<html>\n\u001b[2J${"x".repeat(9_000)}`);

    const error = await failureOf(withKey()());

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
    expect(error.message).toMatch(/^no Google Cloud credentials from .*key\.json: <html> \[2Jx{100,200}$/);
  });

  it("because the token service throttles tell how long to wait, and the library does not ask again", async () => {
    peer.overrides["/token"] = answering(429, { error: "rate_limited" }, { "retry-after": "7" });

    const error = await failureOf(withKey()());

    expect(error).toMatchObject({ code: "throttled", retryAfterMs: 7000, notBegun: true });
    expect(peer.to("/token")).toHaveLength(1);
  });
});

describe("a function that cannot be looked up", () => {
  it.each([
    [401, "forbidden", `function ${resource} cannot be looked up`],
    [403, "forbidden", `missing permission cloudfunctions.functions.get on ${resource}`],
    [404, "not_found", `there is no function ${resource}`],
    [429, "throttled", `function ${resource} cannot be looked up`],
    [500, "unavailable", `function ${resource} cannot be looked up`],
  ])("because Google answers %i is %s, and nothing was begun", async (status, code, message) => {
    peer.overrides["/v2/"] = answering(status, { error: { message: "the reason" } }, { "retry-after": "3" });

    const error = await failureOf(withKey()());

    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ notBegun: true, retryAfterMs: status === 404 ? undefined : 3000 });
    expect(peer.to("/run/")).toEqual([]);
  });

  it("in time is not begun", async () => {
    peer.overrides["/v2/"] = hang;

    const error = await failureOf(withKey()({ signal: AbortSignal.timeout(500) }));

    expect(error).toMatchObject({ code: "timeout", notBegun: true });
  });

  it.each([
    ["has no URL", {}, "has no URL"],
    ["is told about in no JSON", "<html>", "is not JSON"],
  ])("because it %s is a failure", async (_what, body, message) => {
    peer.overrides["/v2/"] = answering(200, body);

    const error = await failureOf(withKey()());

    expect(error.message).toContain(message);
    expect(error.notBegun).toBe(true);
  });
});

describe("an answer of the function", () => {
  it.each([
    [400, "invalid", true],
    [403, "forbidden", true],
    [404, "not_found", true],
    [409, "conflict", true],
    [429, "throttled", true],
    [302, "invalid", false],
    [500, "unavailable", false],
    [503, "unavailable", false],
  ])("of status %i is a failure, %s", async (status, code, notBegun) => {
    peer.overrides["/run/"] = answering(status, "the reason", { "retry-after": "5", location: "/elsewhere" });

    const error = await failureOf(withKey()());

    expect(error).toMatchObject({ code, notBegun, retryAfterMs: 5000 });
    expect(error.message).toContain(status === 302 ? "redirects are not followed" : "the reason");
    expect(peer.to("/run/")).toHaveLength(1);
    expect(peer.to("/elsewhere")).toEqual([]);
  });

  it("of 403 tells the permission that is missing", async () => {
    peer.overrides["/run/"] = answering(403, "Forbidden");

    const error = await failureOf(withKey()());

    expect(error.message).toContain("missing permission run.routes.invoke");
  });

  it.each([200, 400])("of status %i that repeats the ID token does not show it", async (status) => {
    peer.overrides["/run/"] = (request, response) =>
      response.writeHead(status).end(`got ${request.headers.authorization}`);

    const told = await withKey()().then(
      (result) => JSON.stringify(result),
      (error: Error) => error.message,
    );

    expect(told).toContain("got Bearer [secret]");
  });

  it("that does not come in gcp_function_timeout is a timeout, and the connection is closed", async () => {
    const closed = Promise.withResolvers<string>();
    peer.overrides["/run/"] = (_request, response) => void response.on("close", () => closed.resolve("closed"));

    const error = await failureOf(withKey()({ parameters: { gcp_function_timeout: 3 } }));

    expect(error).toMatchObject({ code: "timeout", notBegun: false });
    await expect(closed.promise).resolves.toBe("closed");
  });

  it("that breaks off leaves open whether it was called", async () => {
    peer.overrides["/run/"] = (_request, response) => void response.socket?.resetAndDestroy();

    const error = await failureOf(withKey()());

    expect(error).toMatchObject({ code: "unavailable", notBegun: false });
  });

  it("of 404 makes Hallux look again where the function is", async () => {
    const run = withKey();
    peer.overrides["/run/"] = answering(404, "gone");
    await failureOf(run());
    delete peer.overrides["/run/"];

    const outcome = await run();

    expect(outcome).toMatchObject({ status: "success" });
    expect(peer.to("/v2/")).toHaveLength(2);
  });

  it("of 503 five times in a row keeps the function from being called for a while, and no other", async () => {
    peer.overrides["/run/isolate"] = answering(503, "no instance");
    const run = withKey();
    for (let made = 0; made < 5; made++) {
      await failureOf(run());
    }

    const error = await failureOf(run());
    const other = await run({ parameters: { gcp_function_name: "older" } });

    expect(error).toMatchObject({ code: "unavailable", notBegun: true });
    expect(error.message).toMatch(/^function projects\/shop\/.* is not asked before/);
    expect(peer.to("/run/isolate")).toHaveLength(5);
    expect(other).toMatchObject({ status: "success" });
  });

  it("of 500 is the function's own, which is called again", async () => {
    peer.overrides["/run/"] = answering(500, "boom");
    const run = withKey();
    for (let made = 0; made < 6; made++) {
      await failureOf(run());
    }

    expect(peer.to("/run/")).toHaveLength(6);
  });
});

describe("a dry run", () => {
  it("gets an ID token for the function and does not call it", async () => {
    const run = withKey({}, { dryRun: true });

    const outcome = await run();

    expect(outcome).toMatchObject({ status: "success" });
    expect(peer.to("/token")).toHaveLength(2);
    expect(peer.to("/run/")).toEqual([]);
  });

  it("asks each time whether there is such a function", async () => {
    const run = withKey({}, { dryRun: true });
    await run();
    peer.overrides["/v"] = answering(404);

    const error = await failureOf(run());

    expect(error).toMatchObject({ code: "not_found", message: `there is no function ${resource}` });
  });
});

describe("google-auth-library", () => {
  it("writes nothing to the terminal", async () => {
    const written = vi.spyOn(console, "warn");
    onTestFinished(() => written.mockRestore());

    await withKey()();
    await hallux(peer.federationFile(files.path("f.json"), files.path("subject-token")))();
    await hallux()();

    expect(written).not.toHaveBeenCalled();
  });
});
