/** The protobuf wire format, as far as ONNX needs it: varints, length-delimited fields, floats; and fields as they lie. */

/** A message under construction: pieces are collected, and joined once. */
export interface Message {
  /** A varint field; negative numbers as 64-bit two's complement. */
  int(field: number, value: number | bigint): Message;
  /** A 32-bit float field. */
  float(field: number, value: number): Message;
  /** A string, bytes or sub-message field. */
  bytes(field: number, value: string | Uint8Array | Message): Message;
  /** Total size in bytes. */
  size(): number;
  /** The pieces in order; large tensors are passed through uncopied. */
  pieces(): readonly Uint8Array[];
}

const utf8 = new TextEncoder();

export function message(): Message {
  const parts: Uint8Array[] = [];
  let size = 0;
  const push = (part: Uint8Array) => {
    parts.push(part);
    size += part.length;
  };
  const self: Message = {
    int(field, value) {
      push(Uint8Array.from([...varint(BigInt(field * 8)), ...varint(BigInt(value))]));
      return self;
    },
    float(field, value) {
      push(Uint8Array.from(varint(BigInt(field * 8 + 5))));
      push(new Uint8Array(Float32Array.of(value).buffer));
      return self;
    },
    bytes(field, value) {
      const content = typeof value === 'string' ? utf8.encode(value) : value;
      const length = content instanceof Uint8Array ? content.length : content.size();
      push(Uint8Array.from([...varint(BigInt(field * 8 + 2)), ...varint(BigInt(length))]));
      for (const piece of content instanceof Uint8Array ? [content] : content.pieces()) push(piece);
      return self;
    },
    size: () => size,
    pieces: () => parts,
  };
  return self;
}

/** All pieces in one array. */
export function toBytes(from: Message): Uint8Array {
  const bytes = new Uint8Array(from.size());
  let at = 0;
  for (const piece of from.pieces()) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

/** A field of a message as it lies in its bytes; `content` is that of a length-delimited one, else empty. */
export interface Field {
  readonly number: number;
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

/** The fields of a message, in their order. Throws RangeError where the bytes are none. */
export function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  for (let at = 0; at < bytes.length; ) {
    const [tag, afterTag] = readVarint(bytes, at);
    const [value, afterValue] = tag % 8 === 0 || tag % 8 === 2 ? readVarint(bytes, afterTag) : [0, afterTag];
    const sizes: Readonly<Record<number, number>> = { 0: 0, 1: 8, 2: value, 5: 4 };
    const end = afterValue + (sizes[tag % 8] ?? Number.NaN);
    if (!(end <= bytes.length))
      throw new RangeError(`byte ${at} of ${bytes.length} begins no protobuf field`);
    yield {
      number: Math.floor(tag / 8),
      whole: bytes.subarray(at, end),
      content: tag % 8 === 2 ? bytes.subarray(afterValue, end) : bytes.subarray(end, end),
    };
    at = end;
  }
}

/** A number and where the next begins. Not for those beyond 2⁵³, which no length or field number is. */
function readVarint(bytes: Uint8Array, from: number): [value: number, next: number] {
  let value = 0;
  for (let at = from, place = 1; at < bytes.length; at++, place *= 128) {
    value += (bytes[at]! & 0x7f) * place;
    if (bytes[at]! < 0x80) return [value, at + 1];
  }
  throw new RangeError(`a number at byte ${from} of ${bytes.length} does not end`);
}
