import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** The limit: a server that parses the event and answers, and does nothing else. Prints its port. */
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const { rule } = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    response.writeHead(202, { "content-type": "application/json" });
    response.end(JSON.stringify({ status: "accepted", event: rule }));
  });
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })));
