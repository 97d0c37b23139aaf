// A client for unary methods on Node's own modules: gRPC over HTTP/2 with mutual TLS, deadlines, retries, typed errors.
// A larger program generates its messages from the released contracts and uses @grpc/grpc-js; the rules are the same.
import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';

const UNAVAILABLE = 14;
const ATTEMPTS = 4;

/** What a service refuses: `reason` and `fields` are stable, the message is for developers. */
export class RapportError extends Error {
  constructor(code, message, { reason = '', domain = '', metadata = {}, fields = [] } = {}) {
    super(message);
    Object.assign(this, { code, reason, domain, metadata, fields });
  }
}

/** Writes a message: a list of [field number, value]; text and bytes as they are, numbers as varints, lists as messages. */
export function encode(fields) {
  const parts = [];
  for (const [number, value] of fields) {
    if (typeof value === 'number') {
      parts.push(varint(number * 8), varint(value));
      continue;
    }
    const bytes = Array.isArray(value) ? encode(value) : Buffer.from(value);
    parts.push(varint(number * 8 + 2), varint(bytes.length), bytes);
  }
  return Buffer.concat(parts);
}

/** Reads a message: field number -> list of values, bytes or numbers. Fields that are not known stay where they are. */
export function decode(bytes) {
  const found = new Map();
  let at = 0;
  const read = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  };
  while (at < bytes.length) {
    const tag = read();
    const take = (length) => bytes.subarray(at, (at += length));
    const value = { 0: read, 1: () => take(8), 2: () => take(read()), 5: () => take(4) }[tag % 8]();
    const number = Math.floor(tag / 8);
    found.set(number, [...(found.get(number) ?? []), value]);
  }
  return found;
}

export class Client {
  /** @param target "host:port"; @param folder of tls.crt, tls.key and ca.crt; @param servername in the server's certificate */
  constructor(target, folder, servername = target.split(':')[0]) {
    const file = (name) => readFileSync(`${folder}/${name}`);
    this.open = () => connect(`https://${target}`, {
      servername, ca: file('ca.crt'), cert: file('tls.crt'), key: file('tls.key'),
    });
  }

  /** Calls a method and returns the answer's bytes. Idempotent calls that find the server unavailable are tried again. */
  async call(method, request, { deadlineMs = 5000, idempotent = true } = {}) {
    const ends = Date.now() + deadlineMs;
    for (let attempt = 1, wait = 50; ; attempt++, wait *= 2) {
      try {
        return await this.#once(method, request, ends - Date.now());
      } catch (error) {
        const again = idempotent && error.code === UNAVAILABLE && attempt < ATTEMPTS && Date.now() + wait < ends;
        if (!again) throw error;
        await new Promise((done) => setTimeout(done, wait * (0.8 + 0.4 * Math.random())));
      }
    }
  }

  close() {
    this.session?.close();
  }

  #once(method, request, leftMs) {
    return new Promise((resolve, reject) => {
      const fail = (cause) => reject(new RapportError(UNAVAILABLE, cause.message, { reason: 'UNAVAILABLE' }));
      if (!this.session || this.session.closed || this.session.destroyed) {
        this.session = this.open();
        this.session.on('error', fail);
      }
      const stream = this.session.request({
        ':method': 'POST', ':path': `/${method}`, 'content-type': 'application/grpc', te: 'trailers',
        'grpc-timeout': `${Math.max(1, Math.round(leftMs))}m`,
      });
      const chunks = [];
      let head = {};
      let tail = {};
      stream.on('response', (headers) => { head = headers; });
      stream.on('trailers', (headers) => { tail = headers; });
      stream.on('data', (chunk) => chunks.push(chunk));
      stream.on('error', fail);
      stream.on('end', () => {
        const status = { ...head, ...tail };
        if (Number(status['grpc-status'] ?? UNAVAILABLE) !== 0) reject(errorOf(status));
        else resolve(Buffer.concat(chunks).subarray(5));
      });
      const frame = Buffer.alloc(5);
      frame.writeUInt32BE(request.length, 1);
      stream.end(Buffer.concat([frame, request]));
    });
  }
}

function varint(value) {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    if (rest <= 0x7fn) return Buffer.from(bytes);
  }
}

/** google.rpc.Status of the trailers: ErrorInfo (reason, domain, metadata) and BadRequest (field paths). */
function errorOf(status) {
  const text = (bytes) => bytes?.toString('utf8') ?? '';
  const said = {};
  for (const packed of decode(Buffer.from(status['grpc-status-details-bin'] ?? '', 'base64')).get(3) ?? []) {
    const any = decode(packed);
    const detail = decode(any.get(2)?.[0] ?? Buffer.alloc(0));
    const type = text(any.get(1)?.[0]).split('/').at(-1);
    if (type === 'google.rpc.ErrorInfo') {
      said.reason = text(detail.get(1)?.[0]);
      said.domain = text(detail.get(2)?.[0]);
      said.metadata = Object.fromEntries((detail.get(3) ?? []).map((entry) => {
        const pair = decode(entry);
        return [text(pair.get(1)?.[0]), text(pair.get(2)?.[0])];
      }));
    } else if (type === 'google.rpc.BadRequest') {
      said.fields = (detail.get(1) ?? []).map((entry) => {
        const violation = decode(entry);
        return { path: text(violation.get(1)?.[0]), rule: text(violation.get(2)?.[0]) };
      });
    }
  }
  return new RapportError(Number(status['grpc-status'] ?? UNAVAILABLE), decodeURIComponent(status['grpc-message'] ?? ''), said);
}
