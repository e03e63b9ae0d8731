import { Graph } from '../graph/graph';
import type { CreateSession } from '../graph/session';
import { checkpointWeights } from '../nn/weights';
import { float32, type StoredTensor } from '../tensor';
import { type OracleHead, oracleHeads, oracleNetwork } from './oracle-network';
import type { OracleReading } from './oracle-reading';

export interface Oracle {
  /** Reads pictures [3, 64, 64] in about [−1, 1]; what lies beyond is clamped, as a picture file would. */
  read(pictures: readonly Float32Array[]): Promise<OracleReading[]>;
  release(): Promise<void>;
}

const batch = 32;
const pictureSize = 3 * 64 * 64;

/** `tensors` are the oracle's weights by their keys. */
export async function createOracle(
  tensors: ReadonlyMap<string, StoredTensor>,
  createSession: CreateSession,
): Promise<Oracle> {
  const graph = new Graph();
  const picture = graph.input('picture', 'float32', [batch, 3, 64, 64]);
  const { features, heads } = oracleNetwork(
    checkpointWeights(graph, { component: 'oracle', tensors }),
    picture,
  );
  const session = await createSession({ features, ...heads });
  return {
    async read(pictures) {
      const readings: OracleReading[] = [];
      for (let first = 0; first < pictures.length; first += batch) {
        const some = pictures.slice(first, first + batch);
        const data = new Float32Array(batch * pictureSize);
        some.forEach((planes, n) => {
          data.set(
            planes.map((x) => Math.min(Math.max(x, -1), 1)),
            n * pictureSize,
          );
        });
        const results = await session.run({ picture: float32([batch, 3, 64, 64], data) });
        const line = (name: OracleHead | 'features', n: number, size: number) =>
          (results[name].data as Float32Array).slice(n * size, (n + 1) * size);
        some.forEach((_, n) => {
          const head = (name: OracleHead) => line(name, n, oracleHeads[name]);
          readings.push({
            features: line('features', n, 256),
            class: largest(head('class')),
            context: largest(head('context')),
            accessory: largest(head('accessory')),
            colour: largest(head('colour')),
            pattern: largest(head('pattern')),
            patternProbabilities: softmax(head('pattern')),
            appearance: [...head('appearance')],
          });
        });
      }
      return readings;
    },
    release: () => session.release(),
  };
}

const largest = (logits: Float32Array) => logits.indexOf(Math.max(...logits));

function softmax(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
