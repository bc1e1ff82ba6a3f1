// Find the photos of a gallery that show the same landmark as a photo.
//
// Usage: npm install, then node search.mjs PHOTO [GALLERY]
// LANDMARKS_SERVER is the search service's address, 127.0.0.1:50050 if unset; LANDMARKS_API_KEY a
// key, where it requires one.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const [photo, gallery = "landmarks"] = process.argv.slice(2);
if (!photo) {
  console.error("usage: node search.mjs PHOTO [GALLERY]");
  process.exit(2);
}
const folder = fileURLToPath(new URL(".", import.meta.url));
const contract = protoLoader.loadSync("landmarkapi/search/v1/search.proto", {
  includeDirs: [`${folder}../../protos`, folder],
  keepCase: true,
  enums: String,
  defaults: true,
});
const { SearchService } = grpc.loadPackageDefinition(contract).landmarkapi.search.v1;

const server = process.env.LANDMARKS_SERVER ?? "127.0.0.1:50050";
const client = new SearchService(server, grpc.credentials.createInsecure(), {
  "grpc.max_send_message_length": 64 << 20,
  "grpc.max_receive_message_length": 64 << 20,
});
const metadata = new grpc.Metadata();
if (process.env.LANDMARKS_API_KEY) {
  metadata.set("authorization", `Bearer ${process.env.LANDMARKS_API_KEY}`);
}

const request = { gallery, photo: await readFile(photo), limit: 5 };
client.Search(request, metadata, { deadline: Date.now() + 30_000 }, (error, answer) => {
  client.close();
  if (error) {
    console.error(`${grpc.status[error.code]}: ${error.details}`);
    process.exitCode = 1;
    return;
  }
  console.log(`verdict: ${answer.verdict.landmark || "none"}`);
  for (const hit of answer.fused) {
    console.log(`${hit.rank}. ${hit.point.landmark || "?"}  ${hit.point.uri}`);
  }
});
