/** What the graphs of a run would take: the run's own builders, with sessions that load nothing. */
import { type Footprint, footprint } from '../graph/footprint';
import { storedWeights } from '../graph/lowering';
import type { CreateSession } from '../graph/session';
import { usualWeights } from '../runtime/session';
import { dataTypes, type StoredTensor, sizeOf } from '../tensor';

export interface Survey extends Footprint {
  /** Names of its outputs, by which a run's graphs are told apart. */
  readonly outputs: readonly string[];
  /** Bytes of memory of its own that the session holds while it runs and after. */
  readonly memory: number;
}

/** `surveys` grows with each graph that is given to `createSession`, whose sessions cannot run. */
export function surveying(): { readonly createSession: CreateSession; readonly surveys: readonly Survey[] } {
  const surveys: Survey[] = [];
  return {
    surveys,
    async createSession(outputs) {
      const values = Object.values(outputs) as Parameters<typeof footprint>[0];
      const stored = storedWeights(values);
      const mapped = usualWeights(stored) === 'mapped';
      const found = footprint(values, { castAtUse: mapped });
      surveys.push({
        ...found,
        outputs: Object.keys(outputs),
        memory: mapped
          ? holes * found.activations + castsOf(stored)
          : layouts * found.activations + copiesOf(stored),
      });
      return {
        inputNames: [],
        run: () => Promise.reject(new Error('a surveyed graph was run')),
        release: async () => {},
      };
    },
  };
}

/**
 * What onnxruntime's arena takes beyond what is alive, in holes between values of many sizes: 1.2 to 1.35 times as much
 * over training and sampling graphs of 0.4 to 2.4 GB (test/bench/README.md).
 */
const holes = 1.3;
/** The same where graphs are optimised wholly: convolutions have their values in a second layout beside the plain one. */
const layouts = 2.4;

/** Weights that are cast at use come and go beside what stays: their holes, some of the largest one's size. */
const castsOf = (stored: readonly StoredTensor[]): number =>
  5 * stored.reduce((most, tensor) => Math.max(most, singlePrecision(tensor)), 0);

const copiesOf = (stored: readonly StoredTensor[]): number =>
  stored.reduce((sum, tensor) => sum + singlePrecision(tensor), 0);

const singlePrecision = ({ shape }: StoredTensor): number => sizeOf(shape) * dataTypes.float32.bytes;
