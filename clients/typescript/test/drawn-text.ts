import { crc32, deflateSync } from "node:zlib";

/** Letters of 5 by 7 dots, a row a number of 5 bits. */
const LETTERS: Readonly<Record<string, readonly number[]>> = {
  " ": [0, 0, 0, 0, 0, 0, 0],
  "2": [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111],
  "4": [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
  E: [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111],
  H: [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
  L: [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111],
  O: [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
};
const DOT_PIXELS = 6;
const MARGIN_PIXELS = 30;

/** Returns a grey PNG with a text in black on white. */
export function drawnText(text: string): Buffer {
  const width = text.length * 6 * DOT_PIXELS + 2 * MARGIN_PIXELS;
  const height = 7 * DOT_PIXELS + 2 * MARGIN_PIXELS;
  const rows = Array.from({ length: height }, (_, y) => {
    const row = Buffer.alloc(1 + width, 255);
    row[0] = 0; // no filter
    const dotY = Math.floor((y - MARGIN_PIXELS) / DOT_PIXELS);
    for (let x = 0; x < width; x += 1) {
      const dotX = Math.floor((x - MARGIN_PIXELS) / DOT_PIXELS);
      const bits = LETTERS[text[Math.floor(dotX / 6)] ?? " "]?.[dotY] ?? 0;
      if (dotX >= 0 && dotX % 6 < 5 && (bits >> (4 - (dotX % 6))) & 1) {
        row[1 + x] = 0;
      }
    }
    return row;
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8); // 8 bits, grey
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ];
  return Buffer.concat([signature, ...parts]);
}

function chunk(type: string, content: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(content.length);
  const body = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([size, body, check]);
}
