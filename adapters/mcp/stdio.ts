/** A server for the client that started this process, on its input and output. */
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import type { Caller, Host } from 'dreambooth';
import { createMcpServer } from './server';

/** Whoever starts the process sits at the machine. */
const caller: Caller = { id: 'local', scope: null, role: 'operator', host: 'mcp' };

/** From the client's leaving to this process's end, in ms. */
const patience = 1_500;

/**
 * Serves until the client leaves (its end of the input is closed) or `signal` is aborted, then stops the running job,
 * which the next host goes on with, and returns within 2 s. Nothing but the protocol is written to standard output:
 * what programs say there goes to the error output from now on.
 */
export async function serveStdio(host: Host, version: string, signal?: AbortSignal): Promise<void> {
  for (const kind of ['log', 'info', 'debug'] as const) console[kind] = console.error;
  const server = createMcpServer(host, caller, version);
  const left = new Promise<void>((resolve) => {
    for (const event of ['end', 'close', 'error']) process.stdin.once(event, resolve);
    process.stdout.once('error', () => resolve());
    signal?.addEventListener('abort', () => resolve(), { once: true });
    if (signal?.aborted) resolve();
  });
  await server.connect(new StdioServerTransport());
  await left;
  const late = new Promise<void>((resolve) => setTimeout(resolve, patience).unref());
  await Promise.race([host.close(), late]);
  host.kill();
  await server.close();
}
