/** The filter as text, with completion of keys and values. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { url } from '../../api/client';
import { useResource } from '../../api/resource';
import type { ServicesAnswer, SlicesAnswer } from '../../api/types';
import { complete, KEYS, parse, type Completion } from '../../filter';
import { range, setParams } from '../../router';
import { Icon } from '../../ui/icons';

const STAGES = ['agent', 'gateway', 'authenticate', 'plan', 'retrieval', 'authorize', 'inference', 'execute', 'record'];

function useValues(): (key: string) => readonly string[] {
  const services = useResource<ServicesAnswer>(url('/services', { ...range.value }), false).data;
  const slices = useResource<SlicesAnswer>(url('/slices', { ...range.value }), false).data;
  return (key) => {
    if (key === 'service' || key === 'root_service') return (services?.services ?? []).map((s) => s.service);
    if (key === 'stage') return STAGES;
    const known = slices?.keys.find((k) => k.key === key)?.values.map((v) => v.value);
    return known ?? KEYS.find((k) => k.key === key)?.values ?? [];
  };
}

export function FilterBar({ q }: { q: string }): JSX.Element {
  const [text, setText] = useState(q);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const values = useValues();
  useEffect(() => setText(q), [q]);

  const list = open ? complete(text, input.current?.selectionStart ?? text.length, values).slice(0, 12) : [];
  const readable = text.trim() === '' || parse(text) !== null;

  const submit = () => {
    setOpen(false);
    setActive(-1);
    if (readable) setParams({ q: text.trim() });
  };
  const take = (c: Completion) => {
    const cursor = input.current?.selectionStart ?? text.length;
    const next = text.slice(0, c.from) + c.insert + text.slice(cursor).trimStart();
    setText(next);
    setActive(-1);
    requestAnimationFrame(() => {
      const at = c.from + c.insert.length;
      input.current?.focus();
      input.current?.setSelectionRange(at, at);
      setOpen(true);
    });
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (!open) return setOpen(true);
      const step = event.key === 'ArrowDown' ? 1 : -1;
      setActive(list.length === 0 ? -1 : (active + step + list.length + (active === -1 && step === -1 ? 1 : 0)) % list.length);
    } else if (event.key === 'Enter') {
      event.preventDefault();
      if (active >= 0 && list[active] !== undefined) take(list[active]);
      else submit();
    } else if (event.key === 'Tab' && open && active >= 0) {
      event.preventDefault();
      take(list[active]);
    } else if (event.key === 'Escape') {
      setOpen(false);
      setActive(-1);
    }
  };

  return (
    <div class="filter" onFocusOut={(e) => !e.currentTarget.contains(e.relatedTarget as Node) && setOpen(false)}>
      <Icon name="search" size={15} class="filter-icon" />
      <input
        ref={input}
        class="field filter-field"
        value={text}
        placeholder="stage=execute and outcome!=ok and duration>2s"
        aria-label="Filter traces"
        role="combobox"
        aria-expanded={list.length > 0}
        aria-controls="filter-list"
        aria-activedescendant={active >= 0 ? `filter-option-${active}` : undefined}
        aria-invalid={!readable && !open}
        autocomplete="off"
        spellcheck={false}
        onInput={(e) => {
          setText(e.currentTarget.value);
          setOpen(true);
          setActive(-1);
        }}
        onClick={() => setOpen(true)}
        onKeyDown={keys}
      />
      <button type="button" class="button primary" onClick={submit} disabled={!readable}>
        Filter
      </button>
      <ul id="filter-list" class="filter-list" role="listbox" aria-label="Completions" hidden={list.length === 0}>
        {list.map((c, i) => (
          <li
            key={`${c.label}${i}`}
            id={`filter-option-${i}`}
            role="option"
            aria-selected={i === active}
            onPointerDown={(e) => {
              e.preventDefault();
              take(c);
            }}
          >
            <span class="mono">{c.label}</span>
            <span class="muted small">{c.hint}</span>
          </li>
        ))}
      </ul>
      {!readable && !open && (
        <p class="field-problem filter-problem" role="alert">
          Not readable as a filter. Write terms as key, operator, value, joined by “and”: stage=execute and duration&gt;2s
        </p>
      )}
    </div>
  );
}
