// An age that moves by itself, without painting anything around it again.
import { now } from '../clock';
import { ageOf } from '../time';

/** `12 min`, counted from epoch ms `since`. */
export function Age({ since }: { readonly since: number }) {
  return <span class="age">{ageOf(now.value - since)}</span>;
}
