import { WrongUse } from './failures';
import { type HostCommandOptions, hostOptions } from './host-options';
import type { Session } from './session';

export interface ServeOptions extends HostCommandOptions {
  readonly port?: number;
  readonly address?: string;
  readonly allowHost?: readonly string[];
}

/** Serves until it is interrupted. */
export async function serveCommand(
  { loadSdk, onInterrupt, stderr }: Session,
  options: ServeOptions,
): Promise<void> {
  const { address = '127.0.0.1', port } = options;
  const key = process.env['DREAMBOOTH_API_KEY'] || null;
  if (key === null && !['127.0.0.1', '::1', 'localhost'].includes(address))
    throw new WrongUse(
      `--address ${address} is open to others: set DREAMBOOTH_API_KEY to a key that clients must give`,
    );
  const [sdk, openai] = await Promise.all([loadSdk(), import('dreambooth/openai')]);
  const host = sdk.createHost(await hostOptions(sdk, options));
  const interrupted = new Promise<() => void>((resolve) => {
    const stopListening = onInterrupt(() => resolve(stopListening));
  });
  try {
    const allowedHosts = [address, ...(options.allowHost ?? [])];
    const server = await openai.serveImages(host, {
      address,
      key,
      allowedHosts,
      ...(port === undefined ? {} : { port }),
    });
    stderr.write(`Serving at ${server.url}, home ${host.home.folder}\n`);
    stderr.write(key === null ? 'Any API key will do.\n' : 'Clients give the key of DREAMBOOTH_API_KEY.\n');
    stderr.write('Ctrl-C ends it; a running job goes on with the next host.\n');
    (await interrupted)();
    await server.close();
  } finally {
    await host.close();
  }
}
