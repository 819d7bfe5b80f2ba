// The tab's name: where one is, and how much waits there.
import { useEffect } from 'preact/hooks';

export function useTitle(where: string, waiting = 0): void {
  useEffect(() => {
    document.title = `${waiting > 0 ? `(${waiting}) ` : ''}${where} · Latchline`;
  }, [where, waiting]);
}
