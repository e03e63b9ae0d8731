/** What a gradient rule sees and gives. */
import type { Value } from '../graph/graph';
import type { AttributesOf, InputsOf, OpType } from '../graph/operators';

/** What a rule sees; `output` is the first output, `outputs` all. */
export interface GradientContext<T extends OpType> {
  readonly inputs: InputsOf<T>;
  readonly output: Value;
  readonly outputs: readonly Value[];
  readonly attributes: AttributesOf<T>;
  readonly dy: Value;
  /** The gradient of each output; null where nothing flows. Only operators of many parts (Split) need it. */
  readonly dys: readonly (Value | null)[];
}

type PerInput<I extends readonly unknown[]> = { readonly [K in keyof I]: Value | null };
export type GradientRule<T extends OpType> = (context: GradientContext<T>) => PerInput<InputsOf<T>>;

/** The mark of an operator through which no gradient flows: its inputs count as constants. */
export const notDifferentiable = Symbol('not differentiable');
