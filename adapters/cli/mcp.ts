import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from 'dreambooth';
import { WrongUse } from './failures';
import { type HostCommandOptions, hostOptions } from './host-options';
import type { Session } from './session';

export interface McpOptions extends HostCommandOptions {
  readonly allowDir?: readonly string[];
  readonly http?: string | true;
  readonly allowHost?: readonly string[];
}

/** Serves until its client leaves or it is interrupted. */
export async function mcpCommand(session: Session, options: McpOptions, version: string): Promise<void> {
  const { loadSdk, onInterrupt, stderr } = session;
  const http = options.http === undefined ? undefined : addressOf(options.http);
  const [sdk, mcp] = await Promise.all([loadSdk(), import('dreambooth/mcp')]);
  const host = sdk.createHost({
    ...(await hostOptions(sdk, options)),
    allowFolders: options.allowDir ?? [],
    stopPatience: 1_000,
  });
  const controller = new AbortController();
  const stopListening = onInterrupt(() => controller.abort());
  const say = (line: string) => stderr.write(`${line}\n`);
  try {
    if (http === undefined) {
      say(`dreambooth ${version}: serving on standard input and output, home ${host.home.folder}`);
      await mcp.serveStdio(host, version, controller.signal);
      // Whatever else would keep this process: its client has left.
      return session.exit(0);
    }
    const token = tokenOf(host);
    const server = await mcp.serveHttp(host, {
      ...http,
      token: token.value,
      allowedHosts: options.allowHost ?? [],
      version,
    });
    say(`Serving at ${server.url}, home ${host.home.folder}`);
    say(token.said);
    say('Ctrl-C ends it; a running job goes on with the next host.');
    await new Promise<void>((resolve) => controller.signal.addEventListener('abort', () => resolve()));
    await server.close();
  } finally {
    stopListening();
    await host.close();
  }
}

function addressOf(given: string | true): { address?: string; port?: number } {
  if (given === true) return {};
  const [, address, port] = /^(?:(.+):)?(\d{1,5})$/.exec(given) ?? [];
  if (port === undefined || Number(port) > 65535) {
    throw new WrongUse(
      `--http ${given} is no address: write a port, as 7331, or an address and a port, as 0.0.0.0:7331`,
    );
  }
  return { port: Number(port), ...(address === undefined ? {} : { address }) };
}

/** From the environment, else one that is kept in the home, for its owner alone. */
function tokenOf({ home }: Host): { readonly value: string; readonly said: string } {
  const given = process.env['DREAMBOOTH_MCP_TOKEN'];
  if (given) return { value: given, said: 'Clients show the token of DREAMBOOTH_MCP_TOKEN.' };
  const file = join(home.folder, 'mcp-token');
  // One that is empty is left of a crash or a full disk.
  if (!existsSync(file) || statSync(file).size === 0) {
    mkdirSync(home.folder, { recursive: true });
    writeFileSync(file, randomBytes(24).toString('base64url'), { mode: 0o600 });
  }
  return {
    value: readFileSync(file, 'utf8').trim(),
    said: `Clients show the token in ${file}, as Authorization: Bearer TOKEN.`,
  };
}
