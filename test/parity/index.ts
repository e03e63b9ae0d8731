/** npm run parity: see command.ts. */
import { main } from './command';

process.exitCode = await main(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`));
