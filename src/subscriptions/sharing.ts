import { visit, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import type { Clock } from '../clock.ts';

/**
 * Those who would be given the same answer to the same event: it is made once. Members may be at different positions;
 * what was answered last is kept for a moment, since whoever comes later should see the present.
 */
export interface Group<Answer> {
  answer(eventId: string, make: () => Promise<Answer>): Promise<Answer>;
  leave(): void;
}

const mostKept = 64;
const keptForMs = 1_000;

/** @returns joins the group with this key */
export function createGroups<Answer>(clock: Clock): (key: string) => Group<Answer> {
  interface Members {
    count: number;
    answers: Map<string, { madeAt: number; answer: Promise<Answer> }>;
  }
  const groups = new Map<string, Members>();
  return (key) => {
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { count: 0, answers: new Map() }));
    const { answers } = group;
    const members = group;
    members.count++;
    let left = false;
    return {
      answer(eventId, make) {
        const now = clock.monotonic();
        const kept = answers.get(eventId);
        if (kept && now - kept.madeAt <= keptForMs) return kept.answer;
        const answer = make();
        answers.delete(eventId);
        answers.set(eventId, { madeAt: now, answer });
        if (answers.size > mostKept) answers.delete(answers.keys().next().value!);
        return answer;
      },
      leave() {
        if (left) return;
        left = true;
        members.count--;
        if (members.count === 0) groups.delete(key);
      },
    };
  };
}

/**
 * Variables that say where the operation starts and nothing else: those of the root field's argument `after`. What is
 * answered to an event does not depend on them.
 */
export function startVariables(document: DocumentNode, operation: OperationDefinitionNode): Set<string> {
  const starts = operation.selectionSet.selections.flatMap((selection) => {
    if (selection.kind !== 'Field') return [];
    const after = selection.arguments?.find(({ name }) => name.value === 'after')?.value;
    return after?.kind === 'Variable' ? [after] : [];
  });
  const names = new Set(starts.map(({ name }) => name.value));
  if (names.size === 0) return names;
  visit(document, {
    VariableDefinition: () => false,
    Variable(node) {
      if (!starts.includes(node)) names.delete(node.name.value);
    },
  });
  return names;
}
