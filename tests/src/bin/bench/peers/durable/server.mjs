// Durable Streams' node server with its files in a folder: PORT FOLDER.
import { DurableStreamTestServer } from "@durable-streams/server"

const [port, dataDir] = process.argv.slice(2)
const server = new DurableStreamTestServer({ port: Number(port), host: "127.0.0.1", dataDir, compression: false })
await server.start()
