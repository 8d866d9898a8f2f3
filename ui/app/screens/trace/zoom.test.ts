import { expect, test } from 'vitest';
import { moved, parse, print, scaled, ticks, whole, within } from './zoom';

const LENGTH = 1_000_000;

test('it stays within the trace', () => {
  expect(within({ from: -50_000, to: 50_000 }, LENGTH)).toEqual({ from: 0, to: 100_000 });
  expect(within({ from: 950_000, to: 1_050_000 }, LENGTH)).toEqual({ from: 900_000, to: LENGTH });
  expect(within({ from: 0, to: 9e9 }, LENGTH)).toEqual(whole(LENGTH));
  expect(within({ from: 10, to: 11 }, LENGTH).to - within({ from: 10, to: 11 }, LENGTH).from).toBe(1_000);
  expect(within({ from: 0, to: 5 }, 5)).toEqual(whole(5));
});

test('the point that it is scaled about stays where it is', () => {
  const before = { from: 200_000, to: 600_000 };
  const after = scaled(before, 0.5, 300_000, LENGTH);
  expect(after).toEqual({ from: 250_000, to: 450_000 });
  expect((300_000 - after.from) / (after.to - after.from)).toBe((300_000 - before.from) / (before.to - before.from));
  expect(scaled(after, 1e9, 300_000, LENGTH)).toEqual(whole(LENGTH));
});

test('it moves, and stops at the ends', () => {
  expect(moved({ from: 0, to: 100_000 }, 0.5, LENGTH)).toEqual({ from: 50_000, to: 150_000 });
  expect(moved({ from: 0, to: 100_000 }, -1, LENGTH)).toEqual({ from: 0, to: 100_000 });
});

test('the address holds it', () => {
  const zoomed = { from: 250_000, to: 450_000 };
  expect(parse(print(zoomed, LENGTH), LENGTH)).toEqual(zoomed);
  expect(print(whole(LENGTH), LENGTH)).toBeNull();
  for (const odd of [null, '', 'a-b', '5', '9-3', '-']) expect(parse(odd, LENGTH)).toBeNull();
});

test('ticks are round', () => {
  expect(ticks({ from: 0, to: 1_000 }, 5)).toEqual([0, 200, 400, 600, 800, 1_000]);
  expect(ticks({ from: 130, to: 390 }, 4)).toEqual([200, 300]);
});
