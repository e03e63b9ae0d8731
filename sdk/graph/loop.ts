/** A training step, or any other, run K times in one node, so that its state stays on the device in between. */
import { Graph, type Value } from './graph';
import { op } from './operators';

/** What a trip hands on: the next state, and values that are collected over all trips. */
export interface Trip {
  readonly state: readonly Value[];
  readonly gathered?: readonly Value[];
}

/**
 * `trips` runs of `step`, each on the state that the one before left. `step` builds its nodes from values of the
 * body's own graph: the iteration (int64 scalar, from 0), the state, and what is `given` alike to every trip.
 * Returns the last state, and each gathered value with a leading axis of `trips`.
 */
export function loop(
  trips: number,
  initial: readonly Value[],
  given: readonly Value[],
  step: (iteration: Value, state: readonly Value[], given: readonly Value[]) => Trip,
): { state: readonly Value[]; gathered: readonly Value[] } {
  const body = new Graph();
  const iteration = body.input('iteration', 'int64', []);
  const condition = body.input('condition', 'bool', []);
  // A body sees no value of the graph around it, so what is given rides along as state that does not change.
  const carried = [...initial, ...given].map(({ dtype, shape }, i) => body.input(`state_${i}`, dtype, shape));
  const unchanged = carried.slice(initial.length);
  const { state, gathered = [] } = step(iteration, carried.slice(0, initial.length), unchanged);
  const outputs = op.Loop(...initial, ...given, {
    body: {
      inputs: [iteration, condition, ...carried],
      outputs: [condition, ...state, ...unchanged, ...gathered],
    },
    trips,
  });
  return { state: outputs.slice(0, initial.length), gathered: outputs.slice(carried.length) };
}
