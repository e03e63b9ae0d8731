/** Whole training runs of diffusers' scripts, losses to final weights. */
import { test } from 'vitest';
import { expectHeld, kinds } from '../parity/kinds';

test.each(kinds.filter(({ name }) => name.endsWith('training')))('$name', expectHeld);
