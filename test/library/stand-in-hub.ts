/**
 * A model hub on this machine, in the API's shape: a model's page, its files by pages of a tree, and bytes, small ones
 * from the hub and large ones by a redirect to another origin. Faults are planted by the test.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PublishedModel {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly commit: string;
  readonly card?: object;
  /** Only who sends this token gets it. */
  readonly token?: string;
}

/** What befalls a request: an answer instead of the right one, the bytes changed, or the connection cut after so many. */
export interface Fault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly cutAfter?: number;
  readonly changed?: (bytes: Buffer) => Buffer;
  readonly ignoreRange?: boolean;
  /** ms between pieces of 64 kB. */
  readonly slow?: number;
}

export interface Asked {
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly fromBytes: 'hub' | 'bytes';
}

export interface StandInHub {
  readonly url: string;
  readonly models: Map<string, PublishedModel>;
  readonly asked: Asked[];
  /** Bytes of a file that left the server, in all. */
  served(path: string): number;
  /** Set by a test; the first that a path's request matches is taken, as often as it says. */
  fault(path: RegExp, fault: Fault, times?: number): void;
  /** Forgets faults and what was asked. */
  reset(): void;
  close(): Promise<void>;
}

const largeFrom = 100_000;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const gitSha1 = (bytes: Buffer) =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
const pageLength = 7;

export async function startHub(): Promise<StandInHub> {
  const models = new Map<string, PublishedModel>();
  const asked: Asked[] = [];
  const sent = new Map<string, number>();
  let faults: { path: RegExp; fault: Fault; times: number }[] = [];
  const faultOf = (path: string) => {
    const found = faults.find((one) => one.times > 0 && one.path.test(path));
    if (found) found.times--;
    return found?.fault;
  };
  const note = (request: IncomingMessage, fromBytes: Asked['fromBytes']) =>
    asked.push({
      url: decodeURIComponent(request.url!),
      range: request.headers.range,
      authorization: request.headers.authorization,
      fromBytes,
    });

  /** Honours a Range, counts what leaves, plants what befalls bytes. */
  function sendBytes(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    bytes: Buffer,
    fault?: Fault,
  ) {
    const [, first] = /^bytes=(\d+)-/.exec(request.headers.range ?? '') ?? [];
    const from = fault?.ignoreRange || first === undefined ? 0 : Number(first);
    const whole = fault?.changed?.(bytes) ?? bytes;
    const part = whole.subarray(from);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': part.length,
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      ...(from > 0 ? { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` } : {}),
    });
    const end = Math.min(part.length, fault?.cutAfter ?? part.length);
    response.flushHeaders();
    const piece = (at: number) => {
      if (at >= end) {
        if (end < part.length) setTimeout(() => response.destroy(), 20);
        else response.end();
        return;
      }
      const next = Math.min(end, at + 65_536);
      response.write(part.subarray(at, next), (gone) => {
        if (gone) return;
        sent.set(path, (sent.get(path) ?? 0) + next - at);
        setTimeout(() => piece(next), fault?.slow ?? 0);
      });
    };
    piece(0);
  }

  const files = createServer((request, response) => {
    note(request, 'bytes');
    const [, hash, ...rest] = decodeURIComponent(request.url!).split('/');
    const path = rest.join('/');
    const bytes = [...models.values()]
      .flatMap((model) => [...model.files.values()])
      .find((one) => sha256(one) === hash)!;
    const fault = faultOf(`bytes/${path}`);
    if (fault?.status) response.writeHead(fault.status, fault.headers).end(fault.body);
    else sendBytes(request, response, path, bytes, fault);
  });
  const bytesUrl = await listening(files);

  const hub = createServer((request, response) => {
    note(request, 'hub');
    const address = new URL(request.url!, 'http://hub');
    const path = decodeURIComponent(address.pathname);
    const fault = faultOf(path);
    if (fault?.status) return response.writeHead(fault.status, fault.headers).end(fault.body);
    const json = (value: unknown, headers = {}) =>
      response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
    const refuse = (status: number, code: string) =>
      response
        .writeHead(status, { 'x-error-code': code, 'content-type': 'application/json' })
        .end('{"error":"no"}');

    const [, id, kind, rest] =
      /^\/(?:api\/models\/)?([^/]+\/[^/]+)\/(revision|tree|resolve)\/(.+)$/.exec(path) ?? [];
    const model = models.get(id ?? '');
    // As the hub does for those it does not know, lest private names be guessed.
    if (!model) return refuse(401, 'RepoNotFound');
    const authorized = request.headers.authorization === `Bearer ${model.token}`;
    if (kind === 'revision') {
      if (!['main', 'v1', model.commit].includes(rest!)) return refuse(404, 'RevisionNotFound');
      return json({
        _id: '1',
        id,
        private: false,
        gated: model.token === undefined ? false : 'auto',
        downloads: 1,
        likes: 1,
        lastModified: '2026-01-01T00:00:00.000Z',
        sha: model.commit,
        tags: [],
        cardData: model.card,
      });
    }
    if (model.token !== undefined && !authorized)
      return refuse(request.headers.authorization ? 403 : 401, 'GatedRepo');
    if (kind === 'tree') {
      const start = Number(address.searchParams.get('cursor') ?? 0);
      const entries = [...model.files].map(([file, bytes]) => ({
        type: 'file',
        path: file,
        size: bytes.length,
        oid: gitSha1(bytes),
        ...(bytes.length >= largeFrom
          ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }
          : {}),
      }));
      const folders = [{ type: 'directory', path: 'unet', size: 0, oid: gitSha1(Buffer.from('')) }];
      const next = start + pageLength;
      const link = `<http://${request.headers.host}${address.pathname}?recursive=true&cursor=${next}>; rel="next"`;
      return json(
        [...(start === 0 ? folders : []), ...entries.slice(start, next)],
        next < entries.length ? { link } : {},
      );
    }
    const file = rest!.slice(rest!.indexOf('/') + 1);
    const bytes = model.files.get(file);
    if (!bytes) return refuse(404, 'EntryNotFound');
    if (bytes.length < largeFrom) return sendBytes(request, response, file, bytes, fault);
    response
      .writeHead(302, {
        location: `${bytesUrl}/${sha256(bytes)}/${encodeURIComponent(file)}`,
        'x-linked-etag': `"${sha256(bytes)}"`,
        'x-linked-size': String(bytes.length),
        'x-repo-commit': model.commit,
      })
      .end();
  });
  const url = await listening(hub);

  return {
    url,
    models,
    asked,
    served: (path) => sent.get(path) ?? 0,
    fault: (path, fault, times = 1) => faults.push({ path, fault, times }),
    reset() {
      faults = [];
      asked.length = 0;
      sent.clear();
    },
    async close() {
      for (const server of [hub, files]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
