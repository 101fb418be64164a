// The CloudEvents SDK for JavaScript reads every JSON form of the events.
//
//     NODE_PATH=…/node_modules node cloud_events.cjs [--binary] FEED_URL...

"use strict";

const assert = require("node:assert");
const { HTTP } = require("cloudevents");

const BATCH_TYPE = "application/cloudevents-batch+json";
const EVENT_TYPE = "application/cloudevents+json";
// Single events are looked at in binary mode too, as they are answered to `?format=binary`.
const BINARY_MODE = process.argv.includes("--binary");
// Longest time for one request, in milliseconds.
const REQUEST_MS_MAX = 30_000;
// More documents than any feed has that is looked at here.
const DOCUMENTS_MAX = 1_000;
// Single events that are asked for at each end of a long feed; all of a short one.
const SINGLES_AT_EACH_END = 5;

async function get(url, accept) {
  const answer = await fetch(url, { headers: { accept }, signal: AbortSignal.timeout(REQUEST_MS_MAX) });
  assert.ok(answer.ok, `${url}: ${answer.status}`);
  const body = Buffer.from(await answer.arrayBuffer());
  return { url: answer.url, headers: Object.fromEntries(answer.headers), body };
}

function link(answer, relation) {
  const found = new RegExp(`<([^>]*)>; rel="${relation}"`).exec(answer.headers.link ?? "");
  return found && new URL(found[1], answer.url).href;
}

// The batches of a feed: its head, and all from the start on.
async function batches(feedUrl) {
  const documents = [await get(feedUrl, BATCH_TYPE)];
  let url = `${feedUrl}?after=start`;
  while (documents.length < DOCUMENTS_MAX) {
    const answer = await get(url, BATCH_TYPE);
    documents.push(answer);
    if (answer.headers["feed-caught-up"] === "true") return documents;
    url = link(answer, "next");
    assert.ok(url, `${answer.url} has no next`);
  }
  throw new Error(`${feedUrl}: no end after ${DOCUMENTS_MAX} documents`);
}

// The event of the SDK says what the JSON text says.
function same(event, sent, what) {
  assert.strictEqual(event.validate(), true, `${what}: invalid`);
  const { data, data_base64: base64, time, ...attributes } = sent;
  for (const [name, value] of Object.entries(attributes)) {
    assert.deepStrictEqual(event[name], value, `${what}: ${name}`);
  }
  const known = new Set([...Object.keys(sent), "time", "data", "data_base64", "datacontenttype", "schemaurl", "dataschema"]);
  for (const [name, value] of Object.entries(event.toJSON())) {
    assert.ok(known.has(name) || value === undefined, `${what}: ${name} was not sent`);
  }
  // JavaScript's times end at the millisecond.
  assert.strictEqual(Date.parse(event.time), Date.parse(time), `${what}: time`);
  if (base64 !== undefined) {
    assert.strictEqual(Buffer.from(event.data).toString("base64"), base64, `${what}: data`);
  } else {
    // In a batch the SDK says null where the data is null, in an event by itself it says nothing.
    assert.deepStrictEqual(event.data ?? null, data ?? null, `${what}: data`);
  }
}

async function binary(feedUrl, sent) {
  const answer = await get(`${feedUrl}/events/${sent.id}?format=binary`, "*/*");
  const event = HTTP.toEvent({ headers: answer.headers, body: answer.body });
  for (const name of ["id", "source", "type", "subject", "sequence", "epoch", "check"]) {
    // This SDK does not undo the percent-encoding of headers (CloudEvents HTTP binding, 3.1.3.2).
    const found = [event[name], decodeURIComponent(event[name])];
    assert.ok(found.includes(sent[name]), `${answer.url}: ${name} is ${event[name]}`);
  }
  const wanted = sent.data_base64 === undefined ? sent.data : Buffer.from(sent.data_base64, "base64");
  if (sent.data_base64 === undefined && wanted !== undefined) {
    assert.deepStrictEqual(JSON.parse(answer.body), wanted, `${answer.url}: data`);
  } else {
    assert.ok(answer.body.equals(wanted ?? Buffer.alloc(0)), `${answer.url}: data`);
  }
}

async function look(feedUrls) {
  const seen = { batches: 0, batched: 0, singles: 0, binary: 0 };
  for (const feedUrl of feedUrls) {
    const all = new Map();
    for (const answer of await batches(feedUrl)) {
      assert.strictEqual(answer.headers["content-type"], BATCH_TYPE, answer.url);
      const sent = JSON.parse(answer.body);
      const events = HTTP.toEvent({ headers: answer.headers, body: answer.body.toString() });
      assert.strictEqual(events.length, sent.length, answer.url);
      events.forEach((event, at) => same(event, sent[at], `${answer.url}: ${sent[at].id}`));
      sent.forEach((event) => all.set(event.id, event));
      seen.batches += 1;
      seen.batched += events.length;
    }
    let ids = [...all.keys()];
    if (ids.length > 10 * SINGLES_AT_EACH_END) {
      ids = [...ids.slice(0, SINGLES_AT_EACH_END), ...ids.slice(-SINGLES_AT_EACH_END)];
    }
    for (const id of ids) {
      const answer = await get(`${feedUrl}/events/${id}`, EVENT_TYPE);
      const event = HTTP.toEvent({ headers: answer.headers, body: answer.body.toString() });
      same(event, JSON.parse(answer.body), answer.url);
      assert.deepStrictEqual(JSON.parse(answer.body), all.get(id), answer.url);
      seen.singles += 1;
      if (BINARY_MODE) {
        await binary(feedUrl, all.get(id));
        seen.binary += 1;
      }
    }
  }
  const text = `CloudEvents SDK for JavaScript: ${seen.batches} batches with ${seen.batched} events, ${seen.singles} single events`;
  return BINARY_MODE ? `${text}, ${seen.binary} in binary mode` : text;
}

look(process.argv.slice(BINARY_MODE ? 3 : 2)).then(
  (text) => console.log(text),
  (error) => {
    console.error(`broken: ${error.message}`);
    process.exitCode = 1;
  },
);
