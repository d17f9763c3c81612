// Receives HL7 messages with a library of others and acknowledges each as that library does: node server.cjs LIBRARY PORT
const [library, port] = process.argv.slice(2);

const servers = {
  simple() {
    const app = require("simple-hl7").tcp();
    app.use((request, response, next) => next());
    app.use((request, response) => response.end());
    app.start(Number(port));
  },
  medplum() {
    const { Hl7Server } = require("@medplum/hl7");
    const server = new Hl7Server((connection) =>
      connection.addEventListener("message", ({ message }) => connection.send(message.buildAck())),
    );
    server.start(Number(port));
  },
  nodehl7() {
    const { Server } = require("node-hl7-server");
    new Server({ bindAddress: "127.0.0.1" }).createInbound({ port: Number(port) }, async (request, response) =>
      response.sendResponse("AA"),
    );
  },
};

servers[library]();
