/** A proxy that tunnels, and remembers where to. */
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

export interface Proxy {
  readonly url: string;
  /** Hosts and ports. */
  readonly through: readonly string[];
  close(): void;
}

export async function startProxy(): Promise<Proxy> {
  const through: string[] = [];
  const proxy = createServer().on('connect', (request, socket) => {
    through.push(request.url!);
    const [host, port] = request.url!.split(':');
    const onward = connect(Number(port), host!, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [onward, socket]) end.on('error', () => {});
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    through,
    close: () => {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}
