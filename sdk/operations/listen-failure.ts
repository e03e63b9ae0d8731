import { InvalidOptionError } from '../errors';

/**
 * What the system's refusal to listen at an address and a port means to whoever chose them: InvalidOptionError where the
 * port is in use or needs rights that this process has not, or the address is not this machine's; any other error as it is.
 */
export function listenFailure(cause: unknown, address: string, port: number): unknown {
  const at = `${address}:${port}`;
  switch ((cause as { code?: unknown } | null)?.code) {
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
