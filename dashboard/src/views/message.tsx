// Pages that are a message, with what one can do about it.
import type { ComponentChildren } from 'preact';

interface MessageProps {
  readonly title: string;
  readonly children: ComponentChildren;
}

export function Message({ title, children }: MessageProps) {
  return (
    <div class="message">
      <h1>{title}</h1>
      {children}
    </div>
  );
}

export function Refused({ building }: { readonly building: string }) {
  return (
    <div role="alert" data-testid="refused">
      <Message title={`You may not see ${building}`}>
        <p>
          Your account does not manage this building. If it should, ask whoever manages accounts to
          add you to the group <code>building:{building}</code>, then sign out and in again.
        </p>
        <p>
          <a href="#/buildings">Your buildings</a>
        </p>
      </Message>
    </div>
  );
}
