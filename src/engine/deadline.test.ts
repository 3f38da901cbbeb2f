import { describe, expect, it } from "vitest";
import { abortedError } from "../catalogue/abort.ts";
import { notBegun } from "../catalogue/errors.ts";
import { withDeadline } from "./deadline.ts";

const never = new AbortController().signal;

/** Ends with the signal, some turns later, as a client does whose socket closes. */
function workThat(ends: (signal: AbortSignal) => Error): (signal: AbortSignal) => Promise<never> {
  return (signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => process.nextTick(() => reject(ends(signal))));
    });
}

describe("work that the deadline ends", () => {
  it("has timed out, whatever it throws", async () => {
    const work = workThat(() => new Error("socket closed"));

    const outcome = withDeadline({ timeoutMs: 10, signal: never }, work);

    await expect(outcome).rejects.toMatchObject({
      code: "timeout",
      message: "it did not end within 0.01 s",
      notBegun: false,
    });
  });

  it("is known not to have begun where it says so", async () => {
    const work = workThat((signal) => notBegun(abortedError(signal, "the request for credentials")));

    const outcome = withDeadline({ timeoutMs: 10, signal: never }, work);

    await expect(outcome).rejects.toMatchObject({
      code: "timeout",
      message: "it did not end within 0.01 s",
      notBegun: true,
    });
  });

  it("is not waited for", async () => {
    const outcome = withDeadline({ timeoutMs: 10, signal: never }, () => new Promise<never>(() => undefined));

    await expect(outcome).rejects.toMatchObject({ code: "timeout" });
  });
});
