import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

/**
 * A sender as a process of its own. Sends events, no two with the same uuid or pod, and prints how many were answered 2xx and how
 * many were not: `node bench/load.ts <port> keep-alive|new-connection <connections> <events>`.
 */
const [port, mode, connections, events] = process.argv.slice(2);
const once = mode === "new-connection";
const total = Number(events);
const counted = { answered: 0, failed: 0 };

const run = randomBytes(4).toString("hex");
const mark = "<number>";
const event = JSON.stringify({
  uuid: `${run}-ec66-4787-95e7-${mark}`,
  hostname: "node-2",
  output: "10:00:00.834543046: Notice A shell was spawned in a container with an attached terminal",
  output_fields: {
    "evt.time": "<time>",
    "evt.type": "execve",
    "user.name": "root",
    "user.uid": 0,
    "user.loginuid": -1,
    "proc.name": "sh",
    "proc.exepath": "/bin/busybox",
    "proc.pname": "runc",
    "proc.cmdline": "sh -c uptime",
    "proc.tty": 34816,
    "container.id": "6cad8d116ece",
    "container.image.repository": "docker.io/library/nginx",
    "k8s.ns.name": "shop",
    "k8s.pod.name": `cart-${run}-${mark}`,
  },
  priority: "Notice",
  rule: "Terminal shell in container",
  source: "syscall",
  tags: ["container", "shell", "mitre_execution"],
  time: "2026-11-20T10:00:00.834543046Z",
}).replace('"<time>"', "1763689041886038257");
const digits = 12;
const [beforeUuid = "", beforePod = "", rest = ""] = event.split(mark);
const head = [
  "POST / HTTP/1.1",
  "Host: 127.0.0.1",
  "User-Agent: Falcosidekick",
  "Content-Type: application/json; charset=utf-8",
  `Content-Length: ${event.length - 2 * (mark.length - digits)}`,
  ...(once ? ["Connection: close"] : []),
].join("\r\n");
let sent = 0;

for (let open = 0; open < Number(connections); open++) {
  start();
}
stayAwake();
process.once("exit", () => console.log(JSON.stringify(counted)));

function start(): void {
  const socket = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
  let unanswered = 0;
  const send = () => {
    unanswered += 1;
    socket.write(nextRequest());
  };
  socket.setEncoding("latin1");
  socket.on("data", (data: string) => {
    if (!data.startsWith("HTTP/1.1 ")) {
      return;
    }
    unanswered -= 1;
    counted[data.startsWith("HTTP/1.1 2") ? "answered" : "failed"] += 1;
    if (!once) {
      goOnOrEnd(socket, send);
    }
  });
  socket.on("error", () => undefined);
  socket.once("close", () => {
    counted.failed += unanswered;
    if (sent < total) {
      start();
    }
  });
  send();
}

function goOnOrEnd(socket: Socket, send: () => void): void {
  if (sent < total) {
    send();
  } else {
    socket.end();
  }
}

function nextRequest(): string {
  sent += 1;
  const number = String(sent).padStart(digits, "0");
  return `${head}\r\n\r\n${beforeUuid}${number}${beforePod}${number}${rest}`;
}

/** To wake whoever sleeps is work for whoever answers it, and would be charged only to the slower of two servers. */
function stayAwake(): void {
  if (counted.answered + counted.failed < total) {
    setImmediate(stayAwake);
  }
}
