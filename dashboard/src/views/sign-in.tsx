// Email and password, and what Cognito may ask for next.
import { useSignal, type Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { Challenge, Session } from '../session';
import { answerChallenge, signIn } from '../session';
import { BrandIcon } from './icons';
import { useTitle } from './title';

type Out = Extract<Session, { kind: 'signed-out' | 'challenged' }>;

export function SignInPage({ session }: { readonly session: Out }) {
  useTitle('Sign in');
  return (
    <div class="sign-in panel">
      <p class="brand">
        <BrandIcon /> Latchline
      </p>
      {session.kind === 'challenged' ? (
        <ChallengeForm key={session.challenge} challenge={session.challenge} />
      ) : (
        <PasswordForm notice={session.notice} />
      )}
    </div>
  );
}

function PasswordForm({ notice }: { readonly notice: string | null }) {
  return (
    <Form
      title="Sign in"
      action="Sign in"
      notice={notice}
      onSubmit={(fields) => signIn(textOf(fields, 'email'), textOf(fields, 'password'))}
    >
      <label class="field">
        Email
        <input name="email" type="email" autocomplete="username" required />
      </label>
      <label class="field">
        Password
        <input name="password" type="password" autocomplete="current-password" required />
      </label>
    </Form>
  );
}

function ChallengeForm({ challenge }: { readonly challenge: Challenge }) {
  const submit = (fields: FormData) => answerChallenge(textOf(fields, 'answer'));
  if (challenge === 'code') {
    return (
      <Form title="Enter your code" action="Sign in" notice={null} onSubmit={submit}>
        <label class="field">
          Code of your authenticator
          <input name="answer" inputMode="numeric" autocomplete="one-time-code" required />
        </label>
      </Form>
    );
  }
  return (
    <Form
      title="Choose a password"
      action="Set password and sign in"
      notice="The password you were given is good once. Choose your own, of 12 characters or more."
      onSubmit={submit}
    >
      <label class="field">
        New password
        <input name="answer" type="password" autocomplete="new-password" minLength={12} required />
      </label>
    </Form>
  );
}

interface FormProps {
  readonly title: string;
  readonly action: string;
  readonly notice: string | null;
  /** Rejects with an Error whose message is for the person. */
  readonly onSubmit: (fields: FormData) => Promise<void>;
  readonly children: ComponentChildren;
}

function Form({ title, action, notice, onSubmit, children }: FormProps) {
  const busy = useSignal(false);
  const problem = useSignal<string | null>(null);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy.peek()) void run(busy, problem, onSubmit(new FormData(event.currentTarget)));
      }}
    >
      <h1>{title}</h1>
      {notice !== null && <p class="muted">{notice}</p>}
      {children}
      <p class="problem" role="alert">
        {problem}
      </p>
      <button class="button primary" aria-disabled={busy}>
        {busy.value ? 'One moment…' : action}
      </button>
    </form>
  );
}

async function run(
  busy: Signal<boolean>,
  problem: Signal<string | null>,
  work: Promise<void>,
): Promise<void> {
  busy.value = true;
  problem.value = null;
  try {
    await work;
  } catch (error) {
    problem.value = error instanceof Error ? error.message : String(error);
  } finally {
    busy.value = false;
  }
}

function textOf(fields: FormData, name: string): string {
  const value = fields.get(name);
  return typeof value === 'string' ? value : '';
}
