import { expect, it, onTestFinished, vi } from "vitest";
import { startPlayground } from "../playground/index.ts";
import { runHallux } from "./support/hallux-process.ts";
import { httpPeer } from "./support/http-peer.ts";
import { workplace } from "./support/workplace.ts";

vi.setConfig({ testTimeout: 60_000 });

const rules = `
- rule: Everything
  match: {}
  actions: [{ action: Mark, actionner: kubernetes:label, parameters: { labels: { seen: "true" } } }]
- rule: Responses
  match: { source: hallux }
  actions: [{ action: Mark response, actionner: kubernetes:label, parameters: { labels: { responded: "true" } } }]
`;

it("responses flow into Falcosidekick and back, and do not go round, even where a rule asks for them", async () => {
  const playground = await startPlayground();
  onTestFinished(() => playground.close());
  const spec = { containers: [{ name: "main", image: "busybox" }] };
  await playground.seed([{ apiVersion: "v1", kind: "Pod", metadata: { name: "cart-1", namespace: "shop" }, spec }]);
  using files = workplace({ kubeconfig: playground.kubeconfig, "rules.yaml": rules });
  let hallux = "";
  await using sidekick = await httpPeer(async ({ body }, response) => {
    response.end();
    await fetch(hallux, { method: "POST", body: JSON.stringify({ ...JSON.parse(body), uuid: crypto.randomUUID() }) });
  });
  await using server = runHallux(["server", "-r", files.path("rules.yaml")], {
    KUBECONFIG: files.path("kubeconfig"),
    DEFAULT_NOTIFIERS: "falcosidekick",
    NOTIFIERS_FALCOSIDEKICK_URL: sidekick.url,
  });
  hallux = await server.listening();
  const fields = { "k8s.ns.name": "shop", "k8s.pod.name": "cart-1" };
  const event = { rule: "Shell", priority: "Warning", output: "a shell", output_fields: fields };

  await fetch(hallux, { method: "POST", body: JSON.stringify({ ...event, time: new Date().toISOString() }) });
  await server.logged(({ msg, rule }) => msg === "action ended" && rule === "Responses");
  // It ends when all is told.
  server.signal("SIGTERM");
  await server.exited;

  const ended = server.log().filter(({ msg }) => msg === "action ended");
  expect(ended.map(({ rule, status }) => [rule, status])).toEqual([
    ["Everything", "success"],
    ["Responses", "success"],
  ]);
  expect(sidekick.requests).toHaveLength(1);
});
