// Asks Perfetto's own trace processor about a trace: node query.mjs ASSETS TRACE < queries.json > rows.json
//
// ASSETS is what install.sh unpacks: Google's WebAssembly build of the trace processor, its loader for workers, and
// the decoder of its answers. The loader is written for a browser's worker, so it is given the globals of one, its
// module, and a place to leave its bridge; then request and response bytes go to and fro.
import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const [assets, trace] = process.argv.slice(2);
const CHUNK_BYTES = 16 * 1024 * 1024;

function replaceOnce(source, from, to) {
  if (source.split(from).length !== 2) throw new Error(`the loader has no single ${JSON.stringify(from)}`);
  return source.replace(from, to);
}

function loadBridge() {
  const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  define("self", globalThis);
  define("WorkerGlobalScope", function WorkerGlobalScope() {});
  define("location", { href: `${pathToFileURL(assets).href}/` });
  define("traceProcessorModule", readFileSync(path.join(assets, "trace_processor.wasm")));
  let loader = readFileSync(path.join(assets, "engine_bundle.node.js"), "utf8");
  loader = replaceOnce(loader, "this.useMemory64 = hasMemory64Support();", "this.useMemory64 = false;");
  loader = replaceOnce(loader, "locateFile: (s) => s,", "locateFile: (s) => s, wasmBinary: globalThis.traceProcessorModule,");
  const made = "const wasmBridge = new wasm_bridge_1.WasmBridge();";
  loader = replaceOnce(loader, made, `${made} globalThis.traceProcessorBridge = wasmBridge;`);
  vm.runInThisContext(loader, { filename: "engine_bundle.node.js" });
  return globalThis.traceProcessorBridge;
}

async function openEngine() {
  const { EngineBase } = await import(pathToFileURL(path.join(assets, "engine.mjs")).href);
  const bridge = loadBridge();
  class Engine extends EngineBase {
    mode = "WASM";
    id = "test";
    rpcSendRequestBytes(data) {
      bridge.onMessage({ data });
    }
    [Symbol.dispose]() {}
  }
  const engine = new Engine();
  bridge.initialize({ postMessage: (data) => engine.onRpcResponseBytes(data) });
  while (!bridge.reqBufferAddr) await new Promise((resolve) => setTimeout(resolve, 5));
  return engine;
}

function rows(result) {
  const columns = result.columns();
  const found = [];
  for (const row = result.iter({}); row.valid(); row.next()) {
    found.push(Object.fromEntries(columns.map((name) => [name, plain(row.get(name))])));
  }
  return found;
}

function plain(value) {
  return typeof value === "bigint" ? Number(value) : value;
}

console.log = console.warn = () => {}; // what the engine tells is no answer
const engine = await openEngine();
const bytes = readFileSync(trace);
for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
  await engine.parse(new Uint8Array(bytes.subarray(at, at + CHUNK_BYTES)));
}
await engine.notifyEof();
const answers = [];
for (const query of JSON.parse(readFileSync(0, "utf8"))) answers.push(rows(await engine.query(query)));
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
