/** Which nodes of a graph CUDA has a kernel for, by onnxruntime's own list: a proof of placement without a GPU. */
import { readFileSync } from 'node:fs';
import type { AttributeValue, Node, Subgraph, Value } from '../../sdk/graph/graph';
import { lower } from '../../sdk/graph/lowering';
import { type OpType, operators } from '../../sdk/graph/operators';
import type { DataType } from '../../sdk/tensor';

interface Kernel {
  readonly domain: string;
  readonly op: string;
  readonly since: number;
  /** Undefined: open-ended. */
  readonly until: number | undefined;
  readonly types: Readonly<Record<string, readonly string[]>>;
}

const kernels: readonly Kernel[] = readFileSync(
  new URL('../../fixtures/cuda-kernels.tsv', import.meta.url),
  'utf8',
)
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('domain\t'))
  .map((line) => {
    const [domain, op, since, until, types] = line.split('\t') as [string, string, string, string, string];
    return {
      domain,
      op,
      since: Number(since),
      until: until === '' ? undefined : Number(until),
      types: JSON.parse(types),
    };
  });

/** The version in which ONNX last changed each operator, as opset 18 has it; contributed ones are all of version 1. */
const lastChanged: Readonly<Partial<Record<OpType, number>>> = {
  ...{
    Add: 14,
    Sub: 14,
    Mul: 14,
    Div: 14,
    Pow: 15,
    Min: 13,
    Max: 13,
    Neg: 13,
    Abs: 13,
    Sign: 13,
    Exp: 13,
    Log: 13,
  },
  ...{ Sqrt: 13, Sin: 7, Cos: 7, Erf: 13, Sigmoid: 13, Tanh: 13, Relu: 14, Gelu: 1, QuickGelu: 1 },
  ...{ Equal: 13, Greater: 13, Less: 13, Where: 16, Cast: 13, Identity: 16, Clip: 13 },
  ...{ ReduceSum: 13, ReduceMean: 18, Softmax: 13, LayerNormalization: 17 },
  ...{
    Reshape: 14,
    Transpose: 13,
    Expand: 13,
    Concat: 13,
    Split: 18,
    Slice: 13,
    Pad: 18,
    Gather: 13,
    Resize: 18,
  },
  ...{ MatMul: 13, FusedMatMul: 1, Gemm: 13, Conv: 11, ConvTranspose: 11, Loop: 16 },
};

const cudaNames: Partial<Record<DataType, string>> = { float32: 'float', float64: 'double' };

/** The element types that a node gives the type parameter `name` of its operator's definition. */
function typesOf(node: Node, name: string): readonly DataType[] {
  const dtypes = (values: readonly (Value | undefined)[]) => values.flatMap((value) => value?.dtype ?? []);
  const { opType, inputs, outputs } = node;
  if (opType === 'Loop')
    return name === 'V' ? dtypes([...inputs, ...outputs]) : name === 'I' ? ['int64'] : ['bool'];
  if (opType === 'Where') return dtypes(name === 'B' ? inputs.slice(0, 1) : inputs.slice(1));
  if (opType === 'Gather') return dtypes(name === 'Tind' ? inputs.slice(1) : inputs.slice(0, 1));
  if (opType === 'LayerNormalization') return dtypes(name === 'U' ? outputs.slice(1) : inputs);
  if (opType === 'Cast') return dtypes(name === 'T2' ? outputs : inputs);
  if (opType === 'Pow') return dtypes(name === 'T1' ? inputs.slice(1) : inputs.slice(0, 1));
  if (opType === 'Equal' || opType === 'Greater' || opType === 'Less')
    return dtypes(name === 'T1' ? outputs : inputs);
  // Where attributes of ours are inputs of ONNX's, they are int64.
  if (name === 'Tind' || name === 'shape') return ['int64'];
  if (name === 'T' || name === 'V' || (opType === 'Resize' && name === 'T1')) return dtypes(inputs);
  throw new Error(`the type parameter ${name} of ${opType} is not known here`);
}

function matches(kernel: Kernel, node: Node): boolean {
  const { domain } = operators[node.opType as OpType];
  const version = lastChanged[node.opType as OpType];
  if (version === undefined) throw new Error(`say in which version ONNX last changed ${node.opType}`);
  if (kernel.op !== node.opType || kernel.domain !== (domain || 'ai.onnx')) return false;
  const inRange =
    kernel.until === undefined
      ? kernel.since === version
      : kernel.since <= version && version <= kernel.until;
  const typed = Object.entries(kernel.types).every(([name, accepted]) =>
    typesOf(node, name).every((dtype) => accepted.includes(cudaNames[dtype] ?? dtype)),
  );
  return inRange && typed;
}

/** The nodes that `outputs` become, those of loops' bodies included, for which there is not exactly one CUDA kernel. */
export function withoutCudaKernel(outputs: readonly Value[]): string[] {
  return loweredNodes(lower(outputs).graph.nodes).flatMap((node) => {
    const found = kernels.filter((kernel) => matches(kernel, node)).length;
    const types = node.inputs.map((input) => input?.dtype ?? '–').join(', ');
    return found === 1 ? [] : [`${node.opType}(${types}): ${found} kernels`];
  });
}

const isBody = (value: AttributeValue): value is Subgraph => value instanceof Object && 'outputs' in value;

function loweredNodes(nodes: readonly Node[]): Node[] {
  const bodies = nodes.flatMap(({ attributes }) => Object.values(attributes).filter(isBody));
  return [...nodes, ...bodies.flatMap(({ outputs }) => loweredNodes(outputs[0]!.graph.nodes))];
}
