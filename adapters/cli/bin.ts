#!/usr/bin/env node
import { main } from './main';

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // Whoever read this has left (`dreambooth jobs | head -1`): there is nobody to tell, and no use in going on.
    process.exit(130);
  });
}

process.exitCode = await main(process.argv.slice(2));
