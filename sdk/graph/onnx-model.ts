/** A graph as the bytes of an ONNX ModelProto (opset 18), its stored weights as references into their files. */
import { dataTypes, type StoredTensor, type Tensor } from '../tensor';
import type { AttributeValue, Node, Subgraph, Value, ValueType } from './graph';
import { constantsFirst, type LoweringOptions, lower, neededNodes } from './lowering';
import { type AttributeKind, type OpType, operators } from './operators';
import { type Message, message, toBytes } from './protobuf';

export interface OnnxModel {
  readonly bytes: Uint8Array;
  /** Names to feed, with their types; inputs that no output depends on are left out. */
  readonly inputs: readonly Value[];
  /** ONNX name of each requested output. */
  readonly outputNames: Readonly<Record<string, string>>;
}

/** `locate` gives the path of a weight file relative to the folder that the runtime is told of. */
export function writeOnnxModel(
  outputs: Readonly<Record<string, Value>>,
  locate: (file: string) => string,
  options: LoweringOptions = {},
): OnnxModel {
  const lowered = lower(Object.values(outputs), options);
  const { body, inputs } = graphProto(lowered.outputs, [], locate);
  const model = message()
    .int(1, 8)
    .bytes(2, 'dreambooth')
    .bytes(7, body)
    .bytes(8, message().bytes(1, '').int(2, 18))
    .bytes(8, message().bytes(1, 'com.microsoft').int(2, 1));
  const names = Object.keys(outputs).map((name, i) => [name, lowered.outputs[i]!.name] as const);
  return { bytes: toBytes(model), inputs, outputNames: Object.fromEntries(names) };
}

/** `bodyInputs` are those of a control-flow body, which are declared in their order whether used or not. */
function graphProto(
  outputs: readonly Value[],
  bodyInputs: readonly Value[],
  locate: (file: string) => string,
): { body: Message; inputs: Value[] } {
  const nodes = constantsFirst(neededNodes(outputs));
  const inputs: Value[] = [...bodyInputs];
  const initializers = new Map<string, Message>();
  const declare = (value: Value) => {
    const { source, name } = value;
    if (source.kind === 'input' && !inputs.includes(value)) inputs.push(value);
    if (initializers.has(name)) return;
    if (source.kind === 'constant') initializers.set(name, tensorProto(name, source.tensor));
    if (source.kind === 'stored')
      initializers.set(name, storedProto(name, source.tensor, locate(source.tensor.file)));
  };
  const body = message();
  for (const node of nodes) {
    for (const input of node.inputs) if (input) declare(input);
    body.bytes(1, nodeProto(node, initializers, locate));
  }
  body.bytes(2, 'graph');
  for (const initializer of initializers.values()) body.bytes(5, initializer);
  for (const input of inputs)
    body.bytes(11, valueInfo(input, input.source.kind === 'input' ? input.source.openAxes : undefined));
  for (const output of outputs) body.bytes(12, valueInfo(output));
  return { body, inputs };
}

function nodeProto(
  node: Node,
  initializers: Map<string, Message>,
  locate: (file: string) => string,
): Message {
  const { attributes: kinds, domain } = operators[node.opType as OpType];
  const inputs = node.inputs.map((input) => input?.name ?? '');
  const attributes: Message[] = [];
  for (const [name, declared] of Object.entries(kinds)) {
    const kind = declared.replace('?', '') as AttributeKind;
    const value = node.attributes[name];
    if (kind.startsWith('input:')) {
      inputs.push(value === undefined ? '' : constantInput(node, kind, value, initializers));
    } else if (value !== undefined) {
      attributes.push(attributeProto(name, kind, value, locate));
    }
  }
  if (node.opType === 'Loop') return loopProto(node, initializers, attributes);
  // An absent input at the end is left out: onnxruntime crashes on a LayerNormalization whose bias has an empty name.
  while (inputs.at(-1) === '') inputs.pop();
  const proto = message();
  for (const name of inputs) proto.bytes(1, name);
  for (const output of node.outputs) proto.bytes(2, output.name);
  proto.bytes(3, node.name).bytes(4, node.opType);
  for (const attribute of attributes) proto.bytes(5, attribute);
  return domain ? proto.bytes(7, domain) : proto;
}

/** ONNX's Loop takes the trip count and a first condition before the state; ours keeps the count as an attribute. */
function loopProto(node: Node, initializers: Map<string, Message>, attributes: readonly Message[]): Message {
  const trips = constantInput(node, 'input:int64', node.attributes['trips'] as number, initializers);
  const proto = message().bytes(1, trips).bytes(1, '');
  for (const input of node.inputs) proto.bytes(1, input?.name ?? '');
  for (const output of node.outputs) proto.bytes(2, output.name);
  proto.bytes(3, node.name).bytes(4, node.opType);
  return proto.bytes(5, attributes[0]!);
}

/** Attributes that ONNX takes as inputs share one initializer per distinct content. */
function constantInput(
  node: Node,
  kind: AttributeKind | 'input:int64',
  value: AttributeValue,
  initializers: Map<string, Message>,
): string {
  const { scope } = node.outputs[0]!.graph;
  const name = `${scope}${kind.slice('input:'.length)}(${value})`;
  if (!initializers.has(name)) {
    const numbers = typeof value === 'number' ? [value] : (value as readonly number[]);
    const shape = typeof value === 'number' ? [] : [numbers.length];
    const tensor: Tensor =
      kind === 'input:ints' || kind === 'input:int64'
        ? { dtype: 'int64', shape, data: BigInt64Array.from(numbers, BigInt) }
        : { dtype: 'float32', shape, data: Float32Array.from(numbers) };
    initializers.set(name, tensorProto(name, tensor));
  }
  return name;
}

const attributeType = { float: 1, int: 2, string: 3, graph: 5, ints: 7, dtype: 2 } as const;

function attributeProto(
  name: string,
  kind: AttributeKind,
  value: AttributeValue,
  locate: (file: string) => string,
): Message {
  const proto = message()
    .bytes(1, name)
    .int(20, attributeType[kind as keyof typeof attributeType]);
  if (kind === 'float') return proto.float(2, value as number);
  if (kind === 'int') return proto.int(3, value as number);
  if (kind === 'string') return proto.bytes(4, value as string);
  if (kind === 'ints') return (value as readonly number[]).reduce((made, x) => made.int(8, x), proto);
  if (kind === 'dtype') return proto.int(3, dataTypes[value as keyof typeof dataTypes].onnx);
  const { inputs, outputs } = value as Subgraph;
  return proto.bytes(6, graphProto(outputs, inputs, locate).body);
}

const bytesOf = ({ data }: Tensor) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const tensorHeader = (name: string, { dtype, shape }: ValueType): Message =>
  shape.reduce((proto, size) => proto.int(1, size), message().int(2, dataTypes[dtype].onnx).bytes(8, name));

const tensorProto = (name: string, tensor: Tensor): Message =>
  tensorHeader(name, tensor).bytes(9, bytesOf(tensor));

function storedProto(name: string, tensor: StoredTensor, location: string): Message {
  const entry = (key: string, value: string) => message().bytes(1, key).bytes(2, value);
  return tensorHeader(name, tensor)
    .bytes(13, entry('location', location))
    .bytes(13, entry('offset', String(tensor.offset)))
    .bytes(13, entry('length', String(tensor.length)))
    .int(14, 1);
}

function valueInfo(value: Value, openAxes?: ReadonlyMap<number, string>): Message {
  const shape = message();
  value.shape.forEach((size, axis) => {
    const label = openAxes?.get(axis);
    shape.bytes(1, label === undefined ? message().int(1, size) : message().bytes(2, label));
  });
  const tensor = message().int(1, dataTypes[value.dtype].onnx).bytes(2, shape);
  return message().bytes(1, value.name).bytes(2, message().bytes(1, tensor));
}
