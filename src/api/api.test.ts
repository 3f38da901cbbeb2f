import { describe, expect, it } from "vitest";
import { eventOf } from "../../test/support/events.ts";
import { aResponse, ended, type History, historyOf, minute, startApi, token } from "../../test/support/history.ts";
import { decodeEvent } from "../events/decode.ts";
import { exchange } from "../intake/testing.ts";
import { LedgerUnavailable, type ResponseQuery } from "../ledger/ledger.ts";

describe("GET /api/v1/responses", () => {
  it("lists responses, the newest first, each with how its actions ended", async () => {
    const actions = [
      { name: "Label", actionner: "kubernetes:label" },
      { name: "Isolate", actionner: "kubernetes:networkpolicy" },
      { name: "Delete", actionner: "kubernetes:terminate" },
    ];
    const steps = [
      ended(0, { status: "success", message: "pod labelled" }),
      ended(1, { status: "failure", code: "forbidden", message: "not permitted" }),
      { type: "closed" as const, at: minute(2) },
    ];
    const { get } = await startApi(historyOf([aResponse({ id: "r-2", actions, steps }), aResponse({ id: "r-1" })]));

    const { status, headers, body } = await get("/api/v1/responses");

    expect({ status, type: headers.get("content-type"), cache: headers.get("cache-control") }).toEqual({
      status: 200,
      type: "application/json",
      cache: "no-store",
    });
    expect(body).toEqual({
      responses: [
        {
          id: "r-2",
          event_id: expect.any(String),
          rule: "Shell in a shop pod",
          target: "pod shop/cart-1",
          target_uid: "5e4c1a1b",
          status: "failure",
          planned_at: "2026-03-01T10:00:00.000Z",
          closed_at: "2026-03-01T10:02:00.000Z",
          actions: [
            { name: "Label", actionner: "kubernetes:label", status: "success" },
            { name: "Isolate", actionner: "kubernetes:networkpolicy", status: "failure", code: "forbidden" },
            { name: "Delete", actionner: "kubernetes:terminate", status: "not_run" },
          ],
        },
        expect.objectContaining({ id: "r-1", status: "success" }),
      ],
    });
  });

  it("tells what an open response is at", async () => {
    const actions = ["done", "tried again", "to come"].map((name) => ({ name, actionner: "kubernetes:exec" }));
    const steps = [
      ended(0, { status: "success", message: "done" }),
      { type: "retrying" as const, at: minute(1), action: 1, attempt: 1, code: "timeout" as const, message: "late" },
    ];
    const { get } = await startApi(historyOf([aResponse({ id: "r-1", actions, steps })]));

    const { body } = await get("/api/v1/responses");

    expect(body).toMatchObject({
      responses: [{ status: "open", actions: [{ status: "success" }, { status: "running" }, { status: "pending" }] }],
    });
  });

  it("asks the ledger for what the parameters say", async () => {
    const asked: ResponseQuery[] = [];
    const { get } = await startApi(recording(asked));

    await get("/api/v1/responses?since=15m&rule=a%20rule&target=pod+shop/cart-1&status=open&limit=7");
    await get("/api/v1/responses?since=2026-03-01T12:00:00.5%2B02:00");
    await get("/api/v1/responses?since=999999999w");

    expect(asked).toEqual([
      { since: minute(45), rule: "a rule", target: "pod shop/cart-1", status: "open", limit: 7, after: undefined },
      { since: "2026-03-01T10:00:00.500Z", limit: 25, after: undefined },
      { since: "1970-01-01T00:00:00.000Z", limit: 25, after: undefined },
    ]);
  });

  it("gives 50 a page, and each response once when the pages are followed", async () => {
    const ids = Array.from({ length: 120 }, (_, index) => `r-${index}`);
    const { get } = await startApi(historyOf(ids.map((id) => aResponse({ id }))));

    const pages: string[][] = [];
    for (let next: string | undefined = ""; next !== undefined; ) {
      const { body } = await get(`/api/v1/responses${next === "" ? "" : `?after=${next}`}`);
      const page = body as { responses: { id: string }[]; next?: string };
      pages.push(page.responses.map(({ id }) => id));
      next = page.next;
    }

    expect(pages.map(({ length }) => length)).toEqual([50, 50, 20]);
    expect(pages.flat()).toEqual(ids);
  });

  it("ends a page early where it is too large, with the rest on the next one", async () => {
    const rule = "r".repeat(10_000);
    const ids = Array.from({ length: 100 }, (_, index) => `r-${index}`);
    const history = historyOf(ids.map((id) => aResponse({ id, rule })));
    const { get } = await startApi(history, { limits: { pageBytes: 100_000 } });

    const { body } = await get("/api/v1/responses?limit=100");

    expect((body as { responses: unknown[] }).responses).toHaveLength(25);
    expect(body).toMatchObject({ next: expect.any(String) });
  });

  it("gives the ledger no cursor that it did not give out", async () => {
    const asked: ResponseQuery[] = [];
    const { get } = await startApi(recording(asked, "its own.cursor"));
    const { body } = await get("/api/v1/responses?limit=1");
    const { next } = body as { next: string };
    const forged = Buffer.from("another").toString("base64url");

    const followed = await get(`/api/v1/responses?limit=1&after=${next}`);
    const refused = await Promise.all(
      ["x", forged, `${forged}.${next.split(".")[1]}`, `${next}.`, `${next}x`, `${next}%00`].map((after) =>
        get(`/api/v1/responses?limit=1&after=${after}`),
      ),
    );

    expect(followed.status).toBe(200);
    expect(refused.map(({ status }) => status)).toEqual([400, 400, 400, 400, 400, 400]);
    expect(asked.map(({ after }) => after)).toEqual([undefined, "its own.cursor"]);
  });

  it.each([
    ["sicne=1h", 'unknown parameter "sicne" (did you mean "since"?)', undefined],
    ["__proto__=1", 'unknown parameter "__proto__"', undefined],
    ["since=yesterday", 'got "yesterday"', "since"],
    ["since=2026-02-30T10:00:00Z", 'got "2026-02-30T10:00:00Z"', "since"],
    ["since=2026-03-01T10:00:00+02:00", "in a URL, + is %2B", "since"],
    ["since=-1h", 'got "-1h"', "since"],
    ["status=fine", "one of success, ignored, failure, refused, dry_run, expired, open", "status"],
    ["limit=0", "a number from 1 to 200", "limit"],
    ["limit=201", "a number from 1 to 200", "limit"],
    ["limit=1e2", "a number from 1 to 200", "limit"],
    ["limit=", "it is empty", "limit"],
    ["rule=a&rule=b", "it is given more than once", "rule"],
    [`status=${"%1b%5b2J".repeat(1000)}`, "…", "status"],
  ])("says what is wrong with ?%s", async (query, message, field) => {
    const { get } = await startApi(historyOf([]));

    const { status, body } = await get(`/api/v1/responses?${query}`);

    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { reason: "invalid_parameter", message: expect.stringContaining(message) } });
    expect((body as { error: { field?: string } }).error.field).toBe(field);
    expect(JSON.stringify(body).length).toBeLessThan(600);
  });
});

describe("GET /api/v1/responses/<id>", () => {
  it("tells what happened, what was done, who was told and what repeated it", async () => {
    const artifact = { output: "local:file", location: "/var/evidence/log", bytes: 12, sha256: "ab12" };
    const target = { kind: "pod" as const, namespace: "shop", name: "cart-1", uid: "5e4c1a1b" };
    const details = {
      text: "the log",
      artifact,
      target,
      undo: "kubectl label pod cart-1 -n shop suspicious-",
      objects: { pod: "cart-1" },
    };
    const steps = [
      { type: "started" as const, at: minute(1), action: 0, attempt: 1 },
      { type: "retrying" as const, at: minute(2), action: 0, attempt: 1, code: "timeout" as const, message: "late" },
      { type: "started" as const, at: minute(3), action: 0, attempt: 2 },
      ended(0, { status: "success", message: "log read", ...details }),
      { type: "notified" as const, at: minute(4), action: 0, notifier: "k8sevents", error: undefined },
      { type: "notified" as const, at: minute(5), action: 0, notifier: "webhook", error: "no answer" },
      { type: "closed" as const, at: minute(5) },
    ];
    const event = eventOf({ pod: "shop/cart-1", uuid: "7403e430" });
    const repeats = [{ event: "e-9", at: minute(7) }];
    const { get } = await startApi(historyOf([aResponse({ id: "r-1", event, steps, repeats })]));

    const { status, body } = await get("/api/v1/responses/r-1");

    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: "r-1",
      event_id: event.id,
      status: "success",
      event: {
        rule: event.rule,
        priority: "Notice",
        source: "syscall",
        hostname: "node-1",
        sent: { uuid: "7403e430" },
      },
      actions: [
        {
          name: "Label",
          actionner: "kubernetes:label",
          status: "success",
          attempts: 2,
          failed_attempts: [{ attempt: 1, at: minute(2), code: "timeout", message: "late" }],
          started_at: minute(1),
          ended_at: minute(1),
          duration_ms: 11,
          message: "log read",
          target: "pod shop/cart-1",
          target_uid: "5e4c1a1b",
          objects: { pod: "cart-1" },
          text: "the log",
          artifact,
          undo: "kubectl label pod cart-1 -n shop suspicious-",
          notifications: [
            { notifier: "k8sevents", at: minute(4) },
            { notifier: "webhook", at: minute(5), error: "no answer" },
          ],
        },
      ],
      repeats: [{ event_id: "e-9", at: minute(7) }],
    });
  });

  it("keeps every digit and every key of the event", async () => {
    const fields = '{"evt.time":1763689041886038257,"fd.bytes":1.50,"__proto__":"data","n":1e400}';
    const text = `{"rule":"r","priority":"Notice","output_fields":${fields}}`;
    const { event } = decodeEvent(text, { id: "e-1", receivedAt: minute(0) });
    const { url } = await startApi(historyOf(event === undefined ? [] : [aResponse({ id: "r-1", event })]));

    const response = await fetch(`${url}/api/v1/responses/r-1`, { headers: { authorization: `bearer ${token}` } });

    expect(await response.text()).toContain(`"sent":${text}`);
  });

  it("is answered 404 where there is none of this id", async () => {
    const { get } = await startApi(historyOf([]));

    const { status, body } = await get("/api/v1/responses/r-1");

    expect(status).toBe(404);
    expect(body).toEqual({
      error: { reason: "not_found", field: "id", message: "there is no response of this id, or no more" },
    });
  });

  it("takes no parameters", async () => {
    const { get } = await startApi(historyOf([aResponse({ id: "r-1" })]));

    const { status } = await get("/api/v1/responses/r-1?since=1h");

    expect(status).toBe(400);
  });

  it("hands the id to the ledger as data, whatever it holds", async () => {
    const ids: string[] = [];
    const { get } = await startApi({ ...historyOf([]), response: async (id) => void ids.push(id) });

    await get("/api/v1/responses/..%2f..%2fetc%2fpasswd");
    await get("/api/v1/responses/'%20OR%201=1%00");

    expect(ids).toEqual(["../../etc/passwd", "' OR 1=1\0"]);
  });
});

describe("who may read", () => {
  it.each([
    ["nothing", undefined],
    ["another token", "Bearer another"],
    ["the beginning of the token", `Bearer ${token.slice(0, -1)}`],
    ["the token and more", `Bearer ${token} x`],
    ["another scheme", `Basic ${btoa(`:${token}`)}`],
    ["the scheme alone", "Bearer "],
  ])("not who presents %s", async (_, authorization) => {
    const { url, lines } = await startApi(historyOf([aResponse({ id: "r-1" })]));

    const response = await fetch(`${url}/api/v1/responses`, authorization ? { headers: { authorization } } : {});

    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="hallux api"');
    expect(await response.json()).toMatchObject({ error: { reason: "unauthorized" } });
    expect(lines).toEqual([expect.objectContaining({ msg: "api request refused", remote: "127.0.0.1" })]);
  });

  it("nobody, where there is no token", async () => {
    const { get } = await startApi(historyOf([aResponse({ id: "r-1" })]), { token: undefined });

    const { status, body } = await get("/api/v1/responses");

    expect(status).toBe(403);
    expect(body).toMatchObject({ error: { message: expect.stringContaining("set api.token") } });
  });

  it("learns nothing of what there is without the token", async () => {
    const { url } = await startApi(historyOf([]));

    const statuses = await Promise.all(
      ["/api/v1/responses/r-1", "/api/v1/nothing", "/api/v1/responses?x=1", "/api/"].map(async (path) => {
        const { status } = await fetch(url + path, { method: "POST" });
        return status;
      }),
    );

    expect(statuses).toEqual([401, 401, 401, 401]);
  });

  it("a flood of wrong tokens leaves one line in the log", async () => {
    const { url, lines } = await startApi(historyOf([]));

    for (let attempt = 0; attempt < 20; attempt++) {
      await fetch(`${url}/api/v1/responses`, { headers: { authorization: `Bearer ${attempt}` } });
    }

    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).not.toContain("Bearer 0");
  });
});

describe("a question that has no answer", () => {
  it.each([
    ["GET /api/", 404],
    ["GET /api/v1/response", 404],
    ["GET /api/v1/responses/", 404],
    ["GET /api/v1/responses/%zz", 404],
    ["GET /api/v1/responses/a/b", 404],
    ["GET /api/v1/responses/../../metrics", 404],
    ["GET /api/v1//responses", 404],
    ["POST /api/v1/responses", 405],
    ["DELETE /api/v1/responses/r-1", 405],
    ["HEAD /api/v1/responses", 200],
  ])("%s is answered %i", async (request, expected) => {
    const { port } = await startApi(historyOf([aResponse({ id: "r-1" })]));

    const headers = `Host: h\r\nAuthorization: Bearer ${token}\r\nConnection: close`;
    const answer = await exchange(port, `${request} HTTP/1.1\r\n${headers}\r\n\r\n`);

    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${expected} `));
  });

  it("is answered 503 where the ledger cannot be read now, in its own words", async () => {
    const { get } = await startApi(failing(new LedgerUnavailable("the disk is full")));

    const { status, headers, body } = await get("/api/v1/responses");

    expect({ status, retryAfter: headers.get("retry-after") }).toEqual({ status: 503, retryAfter: "1" });
    expect(body).toEqual({
      error: { reason: "unavailable", message: "the history cannot be read now: the disk is full" },
    });
  });

  it("is answered 500 without our internals where something broke, and the log says what", async () => {
    const { get, lines } = await startApi(failing(new TypeError("row 7 of /var/lib/hallux/x")));

    const { status, body } = await get("/api/v1/responses/r-1");

    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain("/var/lib");
    expect(lines).toEqual([expect.objectContaining({ err: expect.objectContaining({ type: "TypeError" }) })]);
  });
});

describe("readers beside the intake", () => {
  it("are as many at a time as the limit says; the others are asked to come again", async () => {
    const gate = Promise.withResolvers<void>();
    const { get } = await startApi(slow(gate.promise), { limits: { concurrency: 2 } });

    const reading = [get("/api/v1/responses"), get("/api/v1/responses")];
    const refused = await whenBusy(get);
    gate.resolve();
    const answered = await Promise.all(reading);
    const after = await get("/api/v1/responses");

    expect(refused).toMatchObject({ status: 429, body: { error: { reason: "busy" } } });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect([...answered, after].map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it("are told when the ledger takes too long, which keeps its place until it has ended", async () => {
    const gate = Promise.withResolvers<void>();
    const { get } = await startApi(slow(gate.promise), { limits: { concurrency: 1, deadlineMs: 20 } });

    const late = await get("/api/v1/responses");
    const next = await get("/api/v1/responses");
    gate.resolve();
    await gate.promise;
    const after = await get("/api/v1/responses");

    expect(late).toMatchObject({ status: 503, body: { error: { message: expect.stringContaining("within 0.02 s") } } });
    expect([next.status, after.status]).toEqual([429, 200]);
  });
});

/** Holds one response, and gives this cursor. */
function recording(asked: ResponseQuery[], next?: string): History {
  return {
    ...historyOf([]),
    responses: async (query) => {
      asked.push(query);
      return { responses: [aResponse({ id: "r-1" })], next };
    },
  };
}

function failing(error: Error): History {
  return { responses: () => Promise.reject(error), response: () => Promise.reject(error) };
}

function slow(opened: Promise<void>): History {
  return { ...historyOf([]), responses: () => opened.then(() => ({ responses: [], next: undefined })) };
}

/** Requests reach the server in no certain order. */
async function whenBusy(get: (path: string) => Promise<{ status: number; headers: Headers; body: unknown }>) {
  for (;;) {
    const answer = await Promise.race([get("/api/v1/responses/r-1"), get("/api/v1/responses/r-2")]);
    if (answer.status === 429) {
      return answer;
    }
  }
}
