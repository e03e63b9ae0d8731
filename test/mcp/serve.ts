/** A server over standard input and output on fake work: `tsx serve.ts OPTIONS`, the options of `createHost` as JSON. */
import { createHost } from 'dreambooth';
import { serveStdio } from 'dreambooth/mcp';

const host = createHost({ stopPatience: 1_000, ...JSON.parse(process.argv[2]!) });
// What a careless dependency might do, and something that would keep the process alive.
setInterval(() => console.log('this is no protocol'), 50);
await serveStdio(host, '0.0.0');
console.log('nor is this');
process.exit(0);
