// Sends one HL7 message through a library of others and prints the acknowledgement: node client.cjs LIBRARY PORT FILE
const { readFileSync } = require("node:fs");

const [library, port, file] = process.argv.slice(2);
const text = readFileSync(file, "utf8");

const clients = {
  async simple() {
    const hl7 = require("simple-hl7");
    const client = hl7.Server.createTcpClient("127.0.0.1", Number(port));
    const message = new hl7.Parser({ segmentSeperator: "\r" }).parse(text);
    return new Promise((resolve, reject) =>
      client.send(message, (error, ack) => (error ? reject(error) : resolve(ack.toString()))),
    );
  },
  async medplum() {
    const { Hl7Client } = require("@medplum/hl7");
    const { Hl7Message } = require("@medplum/core");
    const client = new Hl7Client({ host: "127.0.0.1", port: Number(port) });
    const ack = await client.sendAndWait(Hl7Message.parse(text));
    await client.close();
    return ack.toString();
  },
  async nodehl7() {
    const { Client, Message } = require("node-hl7-client");
    const client = new Client({ host: "127.0.0.1" });
    return new Promise((resolve, reject) => {
      const outbound = client.createConnection({ port: Number(port) }, async (response) => {
        resolve(response.getMessage().toString());
        await outbound.close();
      });
      outbound.on("client.error", reject);
      outbound.sendMessage(new Message({ text })).catch(reject);
    });
  },
};

clients[library]().then(
  (ack) => {
    process.stdout.write(ack.replaceAll("\r", "\n"));
    process.exit(0);
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
