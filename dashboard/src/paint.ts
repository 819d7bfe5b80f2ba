// When a tile was on the screen: `performance` has a mark for each painted version of a tile, so
// that door-to-tile can be measured where it ends, in front of a person's eyes.

const KEPT = 2000;

const names: string[] = [];
let waiting: string[] = [];

/** Call once the change is in the document. The name is `tile:<locker>/<door>:<version>`. */
export function markPainted(door: string, version: string): void {
  waiting.push(`tile:${door}:${version}`);
  if (waiting.length === 1) requestAnimationFrame(afterPaint);
}

/** A task that is queued while a frame is made runs once that frame is done. */
function afterPaint(): void {
  const painted = waiting;
  waiting = [];
  setTimeout(() => {
    for (const name of painted) {
      performance.mark(name);
      names.push(name);
    }
    // The page stays open for days: the buffer of marks must not grow.
    for (const name of names.splice(0, Math.max(0, names.length - KEPT))) {
      performance.clearMarks(name);
    }
  }, 0);
}
