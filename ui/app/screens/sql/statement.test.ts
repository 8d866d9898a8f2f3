// @vitest-environment happy-dom
import { beforeEach, describe, expect, test } from 'vitest';
import { mistakeAt, past, remember } from './statement';

describe('where a mistake is', () => {
  const text = 'SELECT a,\n  b FRM spans';
  test('by line and column', () => {
    expect(mistakeAt(text, 'Expected: end, found: spans at Line: 2, Column: 9')).toBe(text.indexOf('spans'));
    expect(mistakeAt(text, 'found: x at Line: 7, Column: 1')).toBeNull();
    expect(mistakeAt(text, 'out of memory')).toBeNull();
  });
  test('by the column that is not there', () => {
    expect(mistakeAt('SELECT sp, p FROM spans', 'there is no column "p"; near it are …')).toBe(11);
    expect(mistakeAt('SELECT 1', 'there is no column "a(b"; …')).toBeNull();
  });
});

describe('history', () => {
  beforeEach(() => localStorage.clear());
  test('the latest first, each once, not for ever', () => {
    for (let i = 0; i < 40; i += 1) remember(`SELECT ${i % 35}`);
    const kept = past();
    expect(kept[0]).toBe('SELECT 4');
    expect(kept).toHaveLength(30);
    expect(new Set(kept).size).toBe(30);
  });
  test('what is not ours is ignored', () => {
    localStorage.setItem('plimsoll.sql.history', '{"a":1}');
    expect(past()).toEqual([]);
  });
});
