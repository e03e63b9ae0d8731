import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { InvalidOptionError } from '../errors';

/**
 * Listens at an address and a port (0: any that is free), and resolves with the port. Rejects with InvalidOptionError
 * where that cannot be: the port is in use or needs rights that this process has not, the address is not this machine's.
 */
export async function listen(server: Server, address: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException) => reject(refusal(error, address, port));
    server.once('error', refused);
    server.listen(port, address, () => {
      server.off('error', refused);
      resolve();
    });
  });
  return (server.address() as AddressInfo).port;
}

function refusal(cause: NodeJS.ErrnoException, address: string, port: number): Error {
  const at = `${address}:${port}`;
  switch (cause.code) {
    case 'EADDRINUSE':
      return new InvalidOptionError(
        'port',
        `${at} is in use by another program, or by this one started before: give another port, as ${port < 65535 ? port + 1 : port - 1}, or end that program.`,
        { cause },
      );
    case 'EACCES':
      return new InvalidOptionError(
        'port',
        `${at} may not be listened at by this user: give a port from 1024 on.`,
        { cause },
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new InvalidOptionError(
        'address',
        `${address} is no address of this machine: give 127.0.0.1, 0.0.0.0 for all of its own, or one of them.`,
        { cause },
      );
    default:
      return cause;
  }
}
