import { describe, expect, it } from "vitest";
import { ActionError, TargetGone } from "../../src/catalogue/errors.ts";
import type { Container, ContainerState } from "../../src/clients/kubernetes/port.ts";
import { untilRunning } from "./starting.ts";

const running: ContainerState = { kind: "running" };

function waiting(reason: string, message = ""): ContainerState {
  return { kind: "waiting", reason, message };
}

interface Circumstances {
  readonly pullMs?: number;
  readonly withinSeconds?: number;
  readonly signal?: AbortSignal;
}

/** Shows one sighting at each look, the last for ever. */
function start(
  sightings: readonly (ContainerState | Error | undefined)[],
  { pullMs = 60_000, withinSeconds = 60, signal = new AbortController().signal }: Circumstances = {},
): Promise<string> {
  const queue = [...sightings];
  const options = {
    what: "Job shop/hallux-1",
    image: "tools",
    withinSeconds,
    async find() {
      const sighting = queue.length > 1 ? queue.shift() : queue[0];
      if (sighting instanceof Error) {
        throw sighting;
      }
      return sighting;
    },
    container: (state: ContainerState) => ({ state }) as Container,
  };
  return untilRunning(options, signal, { everyMs: 1, pullMs }).then(
    ({ kind }) => kind,
    ({ code, message }) => `${code}: ${message}`,
  );
}

describe("the start of a container", () => {
  it("is waited for while the image is pulled", async () => {
    const ended = await start([undefined, waiting(""), waiting("ContainerCreating"), running]);

    expect(ended).toBe("running");
  });

  it("is still possible while the kubelet tries to pull again", async () => {
    const ended = await start([
      waiting("ErrImagePull"),
      waiting("ImagePullBackOff"),
      waiting("ContainerCreating"),
      running,
    ]);

    expect(ended).toBe("running");
  });

  it("is given up when the image still cannot be pulled after a second try", async () => {
    const ended = await start([waiting("ErrImagePull", "not found"), waiting("ImagePullBackOff", "back-off")], {
      pullMs: 50,
    });

    expect(ended).toBe("not_found: Job shop/hallux-1 (image tools) does not run: ImagePullBackOff: back-off");
  });

  it.each([
    ["InvalidImageName", "invalid"],
    ["ErrImageNeverPull", "not_found"],
    ["CreateContainerConfigError", "invalid"],
    ["CreateContainerError", "internal"],
    ["RunContainerError", "internal"],
  ])("fails at once with %s", async (reason, code) => {
    const ended = await start([waiting(reason, "in the node's words"), running]);

    expect(ended).toBe(`${code}: Job shop/hallux-1 (image tools) does not run: ${reason}: in the node's words`);
  });

  it("fails where the container has ended already", async () => {
    const ended = await start([{ kind: "terminated", exitCode: 128, reason: "StartError", message: "no sleep" }]);

    expect(ended).toBe(
      "internal: Job shop/hallux-1 (image tools) does not run: it ended with exit code 128 (StartError): no sleep",
    );
  });

  it("fails when its time is over, with what was seen last", async () => {
    expect(await start([waiting("ContainerCreating")], { withinSeconds: 0.05 })).toMatch(
      /^timeout: .* ContainerCreating$/,
    );
    expect(await start([undefined], { withinSeconds: 0.05 })).toMatch(/^timeout: .* no node has taken it in time$/);
  });

  it("is looked for again where a look fails that may succeed later, and not where it cannot", async () => {
    const passing = await start([new ActionError("unavailable", "no answer"), running]);
    const gone = await start([new TargetGone("pod shop/cart-1 is gone"), running]);

    expect(passing).toBe("running");
    expect(gone).toBe("not_found: pod shop/cart-1 is gone");
  });

  it("is not waited for after the signal", async () => {
    const ended = await start([waiting("ContainerCreating")], { signal: AbortSignal.abort() });

    expect(ended).toBe("cancelled: the start of Job shop/hallux-1 was cancelled");
  });
});
