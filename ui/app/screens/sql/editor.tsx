/** The statement's editor: highlighting, completion of what the server has, and where a mistake is. */
import { autocompletion, closeBrackets, closeBracketsKeymap, completeFromList, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, sql } from '@codemirror/lang-sql';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, Prec, StateEffect, StateField } from '@codemirror/state';
import { Decoration, drawSelection, EditorView, highlightSpecialChars, keymap, placeholder, type DecorationSet } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

/** Columns by table. */
export type Schema = Record<string, string[]>;

/** Puts another text in. The editor is not told its own text back: while someone types, that would be an old one. */
export interface Handle {
  put: (text: string) => void;
}

interface Props {
  first: string;
  handle: { current: Handle | null };
  schema: Schema;
  /** The analyses, as functions. */
  analyses: SqlFunction[];
  /** Where the server says that the mistake is: offset into the text. */
  mistake: number | null;
  change: (text: string) => void;
  run: (text: string) => void;
}

/** A function that completion knows, and how it is called. */
export interface SqlFunction {
  label: string;
  detail: string;
  info: string;
}

/** What the server offers beyond PostgreSQL's words, the analyses apart. */
const FUNCTIONS: SqlFunction[] = [
  { label: 'hdr_quantile', detail: '(value_ns, 0.99)', info: 'A quantile from an HDR histogram, 3 significant digits' },
  { label: 'sample_ids', detail: '(trace_id, weight)', info: 'Some trace ids of the group, the heaviest first' },
  { label: 'attr', detail: "(attributes, 'key')", info: 'One value of an attribute map' },
];

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--class-backoff)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--class-transit)' },
  { tag: tags.comment, color: 'var(--ink-3)', fontStyle: 'italic' },
  { tag: [tags.typeName, tags.standard(tags.name)], color: 'var(--good-line)' },
]);

const look = EditorView.theme({
  '&': { backgroundColor: 'var(--surface)', color: 'var(--ink)', border: '1px solid var(--line-strong)', borderRadius: 'var(--radius)', fontSize: '13px' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55', minHeight: '112px', maxHeight: '40vh', overflow: 'auto' },
  '.cm-content': { padding: '10px 4px', caretColor: 'var(--ink)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': { backgroundColor: 'var(--accent-soft)' },
  '.cm-matchingBracket': { backgroundColor: 'var(--surface-3)', outline: 'none' },
  '.cm-tooltip': { backgroundColor: 'var(--surface-2)', border: '1px solid var(--line-strong)', borderRadius: 'var(--radius)', color: 'var(--ink)' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-completionDetail': { color: 'var(--ink-3)' },
  '.cm-mistake': { textDecoration: 'underline wavy var(--red)', textUnderlineOffset: '3px' },
});

const setMistake = StateEffect.define<number | null>();
const mistakes = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, change) {
    for (const effect of change.effects) {
      if (!effect.is(setMistake)) continue;
      const length = change.state.doc.length;
      if (effect.value === null || length === 0) return Decoration.none;
      const from = Math.min(effect.value, length - 1);
      const word = change.state.wordAt(from);
      return Decoration.set(Decoration.mark({ class: 'cm-mistake' }).range(word?.from ?? from, word?.to ?? from + 1));
    }
    return change.docChanged ? Decoration.none : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

export function Editor({ first, handle, schema, analyses, mistake, change, run }: Props): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const language = useRef(new Compartment());
  const latest = useRef({ change, run });
  latest.current = { change, run };
  const speak = (known: Schema, functions: SqlFunction[]) => {
    const words = [...functions, ...FUNCTIONS].map((f) => ({ ...f, type: 'function', apply: `${f.label}(` }));
    return [sql({ dialect: PostgreSQL, schema: known, upperCaseKeywords: true }), PostgreSQL.language.data.of({ autocomplete: completeFromList(words) })];
  };
  useEffect(() => {
    const editor = new EditorView({
      parent: host.current!,
      state: EditorState.create({
        doc: first,
        extensions: [
          Prec.highest(keymap.of([{ key: 'Mod-Enter', run: (editor) => (latest.current.run(editor.state.doc.toString()), true) }])),
          keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
          history(),
          highlightSpecialChars(),
          drawSelection(),
          bracketMatching(),
          closeBrackets(),
          autocompletion(),
          syntaxHighlighting(colours),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': 'SQL statement' }),
          placeholder('SELECT …'),
          mistakes,
          look,
          language.current.of(speak(schema, analyses)),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.change(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    handle.current = { put: (text) => editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } }) };
    return () => {
      handle.current = null;
      editor.destroy();
    };
  }, []);
  useEffect(() => view.current?.dispatch({ effects: language.current.reconfigure(speak(schema, analyses)) }), [schema, analyses]);
  useEffect(() => view.current?.dispatch({ effects: setMistake.of(mistake) }), [mistake]);
  return <div class="editor" ref={host} />;
}
