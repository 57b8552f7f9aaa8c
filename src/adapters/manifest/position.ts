import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type LineCounter, type Node } from 'yaml';

export type Path = readonly (string | number)[];

/** Where something stands in the text; lines and columns count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * The place of `path`: its value, or its key where `at` asks for it or the value is a block below the key. What is not there is placed
 * at the nearest thing above it that is.
 */
export function positionOf(document: Document, lines: LineCounter, path: Path, at: 'value' | 'key' = 'value'): Position {
  let node: Node | null = document.contents as Node | null;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, segment] of path.entries()) {
    if (isAlias(node)) node = (node.resolve(document) as Node | undefined) ?? null;
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment));
      if (!pair) break;
      const key = pair.key as Node;
      const value: Node | null = isNode(pair.value) ? pair.value : null;
      const last = depth === path.length - 1;
      const flat = value !== null && !isMap(value) && !isSeq(value) && value.range !== null && value.range !== undefined;
      offset = (last && at === 'value' && flat ? value.range?.[0] : key.range?.[0]) ?? offset;
      node = value;
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(segment)];
      if (!isNode(item)) break;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else break;
  }
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}
