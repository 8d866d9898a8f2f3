/** The first thing to read: what is wrong now, or that nothing is. */
import type { JSX } from 'preact';
import { is } from '../../filter';
import { exploreHref, traceHref } from '../../router';
import { Icon, type IconName } from '../../ui/icons';
import type { Finding } from './findings';
import { samplesHref } from './stage-table';

const KINDS: Record<Finding['kind'], { icon: IconName; word: string }> = {
  breach: { icon: 'alert', word: 'Below its line' },
  wrong: { icon: 'close', word: 'Green but wrong' },
  retry: { icon: 'layers', word: 'Retries' },
  queue: { icon: 'clock', word: 'Queueing' },
  loop: { icon: 'layers', word: 'Looping' },
};

export function WrongNow({ found, judged }: { found: Finding[]; judged: boolean }): JSX.Element {
  if (found.length === 0) {
    return (
      <p class="calm" role="status">
        <Icon name="check" /> {judged ? 'Nothing breaks an objective in this window, and no retry, queue or verdict stands out.' : 'No objective was measured in this window.'}
      </p>
    );
  }
  return (
    <ul class="findings" aria-label="What is wrong now">
      {found.map((f) => (
        <li key={`${f.kind}${f.subject}`} class={`finding finding-${f.kind}`}>
          <a href={leadTo(f)}>
            <Icon name={KINDS[f.kind].icon} />
            <span class="finding-kind">{KINDS[f.kind].word}</span>
            <strong>{f.subject}</strong>
            <span class="finding-text">{f.text}</span>
            <Icon name="arrow" class="finding-go" />
          </a>
        </li>
      ))}
    </ul>
  );
}

function leadTo(f: Finding): string {
  if (f.traceIds.length === 1) return traceHref(f.traceIds[0]);
  if (f.traceIds.length > 1) return samplesHref(f.traceIds);
  return exploreHref(f.stage === null ? [] : [is('stage', f.stage)]);
}
