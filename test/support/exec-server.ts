import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { kubeconfigVia, peerOf } from "./fault-proxy.ts";

/** The address of an API server that answers every exec so. */
export async function execServer(
  converse: (socket: WebSocket, request: IncomingMessage) => void,
  protocol = "v5.channel.k8s.io",
): Promise<string> {
  const handleProtocols = (offered: Set<string>) => (offered.has(protocol) ? protocol : false);
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols });
  server.on("connection", converse);
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    for (const socket of server.clients) {
      socket.terminate();
    }
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A kubeconfig for running commands by way of an API server before 1.30, which cannot say that standard input ends. */
export async function olderApiServer(kubeconfig: string): Promise<string> {
  const protocol = "v4.channel.k8s.io";
  const { target, ca, token } = peerOf(kubeconfig);
  const url = await execServer(async (near, { url: path }) => {
    near.pause();
    const address = `${target.replace(/^http/, "ws")}${path}`;
    const far = new WebSocket(address, protocol, { ca, headers: { Authorization: `Bearer ${token}` } });
    far.on("message", (data) => near.send(data));
    far.once("open", () => near.resume()).once("close", () => near.close());
    // One that is given up before it is open tells of that as an error.
    far.on("error", () => near.terminate());
    near.on("message", (data) => far.send(data)).once("close", () => far.terminate());
  }, protocol);
  return kubeconfigVia(kubeconfig, url);
}
