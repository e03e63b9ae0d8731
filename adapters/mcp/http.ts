/** A server for clients that come over HTTP, each session with a protocol server of its own over the one host. */
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { type Caller, type Host, listenFailure } from 'dreambooth';
import { createMcpServer } from './server';

export interface HttpOptions {
  /** Default `127.0.0.1`; with another, `allowedHosts` says by which names clients may call it. */
  readonly address?: string;
  /** Default 7331; 0: any that is free. */
  readonly port?: number;
  /** What clients show as `Authorization: Bearer …`; null, for tests alone: nothing. */
  readonly token: string | null;
  /** Names in the Host header, beside the loopback's. */
  readonly allowedHosts?: readonly string[];
  readonly version: string;
}

export interface HttpServer {
  readonly url: string;
  close(): Promise<void>;
}

const path = '/mcp';
/** A session of which nothing was heard for so long is gone. */
const longestSilence = 3600e3;
const caller: Caller = { id: 'local', scope: null, role: 'operator', host: 'mcp' };

interface Session {
  readonly transport: StreamableHTTPServerTransport;
  heard: number;
}

/** Listens until it is closed. The host stays its caller's. Rejects with InvalidOptionError when the port is taken. */
export async function serveHttp(host: Host, options: HttpOptions): Promise<HttpServer> {
  const { address = '127.0.0.1', port = 7331, token, version } = options;
  const sessions = new Map<string, Session>();
  const names = new Set(['127.0.0.1', 'localhost', '[::1]', ...(options.allowedHosts ?? [])]);
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      console.error(error);
      if (!response.headersSent) refuse(response, 500, 'Something unexpected went wrong.');
      else response.end();
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page that a browser shows may not speak to this machine, by whatever name it calls it.
    if (!names.has(hostName(request.headers.host)))
      return refuse(
        response,
        403,
        `This server is not called ${request.headers.host}: start it with --allow-host ${hostName(request.headers.host)}, or call it 127.0.0.1.`,
      );
    const { origin } = request.headers;
    if (origin !== undefined && !names.has(hostName(URL.canParse(origin) ? new URL(origin).host : '')))
      return refuse(response, 403, `Pages of ${origin} may not use this server.`);
    if (token !== null && !isToken(request.headers.authorization, token)) {
      response.setHeader('WWW-Authenticate', 'Bearer realm="dreambooth"');
      return refuse(response, 401, 'Show the token of this server as Authorization: Bearer TOKEN.');
    }
    if (new URL(request.url ?? '/', 'http://localhost').pathname !== path)
      return refuse(response, 404, `The server is at ${path}.`);
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (id !== undefined && known === undefined)
      return refuse(response, 404, 'This session has ended: begin a new one.');
    if (known !== undefined) known.heard = Date.now();
    const { transport } = known ?? (await begin());
    await transport.handleRequest(request, response);
    // What was no beginning made no session.
    if (known === undefined && transport.sessionId === undefined) await transport.close();
  }

  async function begin(): Promise<Session> {
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, session),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    const session: Session = { transport, heard: Date.now() };
    const protocol = createMcpServer(host, caller, version);
    await protocol.connect(transport as Parameters<typeof protocol.connect>[0]);
    return session;
  }

  const sweep = setInterval(() => {
    for (const [id, { transport, heard }] of sessions) {
      if (Date.now() - heard < longestSilence) continue;
      sessions.delete(id);
      void transport.close();
    }
  }, 60_000);
  sweep.unref();

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenFailure(error, address, port)));
    server.listen(port, address, resolve);
  }).catch((error: unknown) => {
    clearInterval(sweep);
    throw error;
  });
  const bound = server.address() as AddressInfo;
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${bound.port}${path}`,
    async close() {
      clearInterval(sweep);
      for (const { transport } of sessions.values()) await transport.close();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

const hostName = (host: string | undefined): string => (host ?? '').replace(/:\d+$/, '').toLowerCase();

/** In the same time, however much of it is right. */
function isToken(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1] ?? '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  // A token file that is empty, after a full disk or a crash, lets nobody in.
  return token !== '' && timingSafeEqual(digest(given), digest(token));
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32000, message } }));
}
