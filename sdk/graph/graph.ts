/** ONNX as a value: nodes are appended, never changed; a value knows its type and who made it. */
import { GraphError } from '../errors';
import { numberToBfloat16, numberToHalf } from '../half';
import { type DataType, dataTypes, type Shape, type StoredTensor, sizeOf, type Tensor } from '../tensor';

export interface ValueType {
  readonly dtype: DataType;
  readonly shape: Shape;
}

/** One tensor of a graph. Its `source` says where it comes from. */
export interface Value extends ValueType {
  readonly name: string;
  readonly graph: Graph;
  readonly source: Source;
}

export type Source =
  | { readonly kind: 'node'; readonly node: Node }
  | { readonly kind: 'input'; readonly openAxes: ReadonlyMap<number, string> }
  | { readonly kind: 'constant'; readonly tensor: Tensor }
  | { readonly kind: 'stored'; readonly tensor: StoredTensor };

export type AttributeValue = number | string | readonly number[] | Subgraph | undefined;

/** The body of a control-flow operator: its own graph with ordered inputs and outputs. */
export interface Subgraph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

export interface Node {
  readonly opType: string;
  readonly name: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly outputs: readonly Value[];
}

export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  /** Leads every name, so that those of a loop's body are not those of the graph around it. */
  readonly scope: string;
  readonly #names = new Set<string>();
  readonly #constants = new Map<string, Value>();
  readonly #stored = new Map<string, Value>();

  constructor(scope = '') {
    this.scope = scope;
  }

  /**
   * A tensor given at every run. `openAxes` names the axes whose size may differ from `shape` at run time
   * (a LoRA's rank): the graph is built with the size in `shape`, and no operator may depend on it.
   */
  input(name: string, dtype: DataType, shape: Shape, openAxes: Readonly<Record<number, string>> = {}): Value {
    const axes = new Map(Object.entries(openAxes).map(([axis, label]) => [Number(axis), label]));
    const value = this.#value(name, { dtype, shape }, { kind: 'input', openAxes: axes });
    this.inputs.push(value);
    return value;
  }

  /** A tensor that is part of the graph, called `name` or, where that is taken, numbered. Equal small ones are one value. */
  constant(tensor: Tensor, name = 'constant'): Value {
    const { dtype, shape, data } = tensor;
    if (data.length !== sizeOf(shape)) {
      throw new GraphError(name, `${data.length} elements do not fill the shape [${shape}]`);
    }
    // By bytes: 0 and −0 are equal and print alike, and still differ.
    const bytes = () => new Uint8Array(data.buffer, data.byteOffset, data.byteLength).join();
    const key = data.length <= 64 ? `${dtype} [${shape}] ${bytes()}` : undefined;
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known) return known;
    const value = this.#value(this.#free(name), { dtype, shape }, { kind: 'constant', tensor });
    if (key !== undefined) this.#constants.set(key, value);
    return value;
  }

  /** A scalar constant. */
  scalar(value: number, dtype: DataType = 'float32'): Value {
    const whole = dtype === 'int64' || dtype === 'int32' || dtype === 'uint8';
    if (whole && !Number.isInteger(value)) {
      throw new GraphError(
        'constant',
        `${value} is not whole, and the values that it meets are ${dtype}; Cast them first`,
      );
    }
    const encode: Partial<Record<DataType, (value: number) => number | bigint>> = {
      int64: BigInt,
      float16: numberToHalf,
      bfloat16: numberToBfloat16,
    };
    const data = dataTypes[dtype].array.of((encode[dtype]?.(value) ?? value) as never);
    return this.constant({ dtype, shape: [], data } as Tensor);
  }

  /** A tensor that stays in its file and is read from there by the runtime. */
  stored(name: string, tensor: StoredTensor): Value {
    const known = this.#stored.get(name);
    if (known) {
      const other = known.source.kind === 'stored' ? known.source.tensor : tensor;
      const same =
        other.file === tensor.file &&
        other.offset === tensor.offset &&
        `${other.shape}` === `${tensor.shape}`;
      if (same) return known;
      throw new GraphError(name, `is stored twice: ${place(other)} and ${place(tensor)}`);
    }
    const value = this.#value(name, { dtype: tensor.dtype, shape: tensor.shape }, { kind: 'stored', tensor });
    this.#stored.set(name, value);
    return value;
  }

  /** Appends a node; operators.ts is its only caller, having inferred `types`. */
  emit(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, AttributeValue>>,
    types: readonly ValueType[],
  ): readonly Value[] {
    const name = this.#free(`${opType}_${this.nodes.length}`);
    for (const input of inputs) {
      if (input && input.graph !== this) {
        throw new GraphError(
          name,
          `input "${input.name}" belongs to another graph; pass values of one graph`,
        );
      }
    }
    const outputs: Value[] = [];
    const node: Node = { opType, name: this.scope + name, inputs, attributes, outputs };
    types.forEach((type, i) => {
      outputs.push(this.#value(i === 0 ? name : this.#free(`${name}:${i}`), type, { kind: 'node', node }));
    });
    this.nodes.push(node);
    return outputs;
  }

  /** `name`, with a number behind it when it is taken. */
  #free(name: string): string {
    let free = name;
    for (let i = 2; this.#names.has(free); i++) free = `${name}_${i}`;
    return free;
  }

  #value(name: string, type: ValueType, source: Source): Value {
    if (this.#names.has(name))
      throw new GraphError(name, 'a value of this name exists already; names are unique');
    const wrong = type.shape.find((size) => !Number.isInteger(size) || size < 0);
    if (wrong !== undefined) {
      throw new GraphError(
        name,
        `shape [${type.shape}] has the size ${wrong}; sizes are whole and not negative`,
      );
    }
    this.#names.add(name);
    return { name: this.scope + name, graph: this, source, dtype: type.dtype, shape: type.shape };
  }
}

const place = ({ file, offset, shape }: StoredTensor) => `[${shape}] at ${offset} in ${file}`;

/** `name float32[2,3]`, as errors print a value. */
export const describe = (value: Value | undefined): string =>
  value ? `${value.name} ${value.dtype}[${value.shape}]` : '(absent)';
