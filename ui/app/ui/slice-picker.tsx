/** Which part of the work: one value of each slice key at most. */
import type { JSX } from 'preact';
import { url } from '../api/client';
import { useResource } from '../api/resource';
import { SLICE_KEYS, type SliceKey, type SlicesAnswer } from '../api/types';
import { count } from '../format';
import { range, setParams, slice } from '../router';
import { Icon } from './icons';
import { Popover } from './parts';

export const KEY_LABEL: Record<SliceKey, string> = { tenant: 'Tenant', workload_class: 'Class', model: 'Model', hardware: 'Hardware' };

export function SlicePicker(): JSX.Element {
  const chosen = SLICE_KEYS.filter((key) => slice.value[key] !== undefined);
  return (
    <div class="slice">
      {chosen.map((key) => (
        <button key={key} type="button" class="chip" onClick={() => setParams({ [key]: null, cursor: null })} title={`Remove ${KEY_LABEL[key]}`}>
          <span class="chip-key">{KEY_LABEL[key]}</span> {slice.value[key]} <Icon name="close" size={9} />
        </button>
      ))}
      <Popover
        title="Slice"
        align="end"
        label={
          <>
            <Icon name="layers" /> {chosen.length === 0 ? 'All work' : 'Slice'} <Icon name="down" size={10} />
          </>
        }
      >
        {() => <SliceForm />}
      </Popover>
    </div>
  );
}

function SliceForm(): JSX.Element {
  const { data, error } = useResource<SlicesAnswer>(url('/slices', { ...range.value }), false);
  if (error !== null) return <p class="pad">{error.message}</p>;
  if (data === null) return <p class="pad muted">Loading the slices…</p>;
  const keys = SLICE_KEYS.map((key) => ({ key, values: data.keys.find((k) => k.key === key)?.values ?? [] }));
  return (
    <div class="slice-form">
      {keys.map(({ key, values }) => (
        <fieldset key={key}>
          <legend>{KEY_LABEL[key]}</legend>
          {values.length === 0 && <p class="muted small">not reported</p>}
          <ul class="menu">
            {values.slice(0, 40).map(({ value, traces }) => {
              const on = slice.value[key] === value;
              return (
                <li key={value}>
                  <button type="button" aria-pressed={on} onClick={() => setParams({ [key]: on ? null : value, cursor: null })}>
                    <span class="ellipsis">{value}</span>
                    <span class="muted num">{count(traces)}</span>
                  </button>
                </li>
              );
            })}
          </ul>
        </fieldset>
      ))}
    </div>
  );
}
