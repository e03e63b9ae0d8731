/*
 * Byte-pair vocabularies spell bytes as visible characters: a printable Latin-1 byte as itself, the other 68
 * by the characters from U+0100 on, in order.
 */

const printable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

const symbolOfByte: readonly string[] = (() => {
  let invisible = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : 0x100 + invisible++),
  );
})();
const byteOfSymbol = new Map(symbolOfByte.map((symbol, byte) => [symbol, byte]));

/** One visible character for each UTF-8 byte of a text. */
export function byteSymbols(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => symbolOfByte[byte]!).join('');
}

/** The text whose bytes are spelled by `symbols`; blanks stand for themselves, broken UTF-8 becomes U+FFFD. */
export function bytesOfSymbols(symbols: string): string {
  const bytes = Array.from(symbols, (symbol) => byteOfSymbol.get(symbol) ?? 0x20);
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
